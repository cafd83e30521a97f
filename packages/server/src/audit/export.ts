/**
 * Exports the log up to its newest checkpoint. Entries never change, so an export needs no lock: it reads the checkpoints
 * first, and all entries that they cover exist by then.
 */
import { readOrigin } from "./checkpoint.ts";
import { formatCheckpointRow, formatEntryRow, formatHeader } from "./line.ts";
import type { Texts } from "./parse-entry.ts";

type MaybePromise<T> = T | Promise<T>;

/** An entry with its index: the exact text of its leaf, and the texts that were not erased. */
export type SequencedEntry = { readonly index: number; readonly line: string; readonly texts: Texts };
export type StoredCheckpoint = { readonly size: number; readonly note: string };

/** The log that an export reads. `Store.log` is one. */
export interface LogSource {
  /** Up to `limit` entries from index `from` on, in order. */
  entries(from: number, limit: number): MaybePromise<readonly SequencedEntry[]>;
  /** All checkpoints, smallest first. */
  checkpoints(): MaybePromise<readonly StoredCheckpoint[]>;
}

const pageSize = 500;

/** Yields the lines of an export, each without "\n". `key` is the log's verifier key and contains its origin. */
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
      throw new Error(`the log has a checkpoint over ${end} entries but ends after ${next}`);
    yield* entries;
    next += entries.length;
  }
}
