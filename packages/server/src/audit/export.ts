/**
 * Writes the log out, as far as it is under a checkpoint. What is in the log never changes, so a snapshot needs no lock:
 * the checkpoints are read first, and the entries up to the newest of them are already there.
 */
import { readOrigin } from "./checkpoint.ts";
import { formatCheckpointRow, formatEntryRow, formatHeader } from "./line.ts";
import type { Texts } from "./parse-entry.ts";

type MaybePromise<T> = T | Promise<T>;

/** An entry with its place: the exact bytes of its leaf, and the texts that have not been erased. */
export type SequencedEntry = { readonly index: number; readonly line: string; readonly texts: Texts };
export type StoredCheckpoint = { readonly size: number; readonly note: string };

/** What an export reads; a store's log is one. */
export interface LogSource {
  /** Up to `limit` entries from index `from` on, in order. */
  entries(from: number, limit: number): MaybePromise<readonly SequencedEntry[]>;
  /** Every checkpoint that was kept, the smallest first. */
  checkpoints(): MaybePromise<readonly StoredCheckpoint[]>;
}

const pageSize = 500;

/** The lines of an export, each without its "\n". `key` is the log's verifier key; its name is the log's. */
export async function* exportLog(source: LogSource, key: string): AsyncGenerator<string> {
  const checkpoints = await source.checkpoints();
  const size = checkpoints.at(-1)?.size ?? 0;
  yield formatHeader({ origin: readOrigin(key), key, size });
  let from = 0;
  for (const { size: end, note } of checkpoints) {
    for await (const { index, line, texts } of entriesOf(source, from, end))
      yield formatEntryRow({ index, entry: line, texts });
    from = end;
    yield formatCheckpointRow(note);
  }
}

async function* entriesOf(source: LogSource, from: number, end: number): AsyncGenerator<SequencedEntry> {
  for (let next = from; next < end; ) {
    const entries = await source.entries(next, Math.min(pageSize, end - next));
    if (entries.length === 0)
      throw new Error(`the log has a checkpoint of ${end} entries, and ends after ${next}`);
    yield* entries;
    next += entries.length;
  }
}
