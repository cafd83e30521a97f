/**
 * Verifies an export from its lines alone, in one pass. Kept in memory are the ids of entries and a short record of each
 * request; of the Merkle tree only the few subtrees that later roots still need.
 *
 * A signed checkpoint says that these are the entries that the holder of the key put there; it does not keep that holder
 * from signing another log. Only a checkpoint that was kept elsewhere does, for the entries that it covers.
 */
import { type Hash, leafHash, openCheckpoint } from "@countersign/protocol";
import {
  isEqual,
  isVerifierKey,
  noteFaults,
  openOwnCheckpoint,
  openTree,
  originOf,
  requireVerifierKey,
} from "./checkpoint.ts";
import { entryFaults, readEntry } from "./entry.ts";
import { type Counts, openHistory } from "./history.ts";
import {
  type CheckpointRow,
  type EntryRow,
  type Header,
  type Line,
  type Row,
  type RowRefusal,
  readRow,
} from "./line.ts";
import { mostProblems, type Problem, type Problems } from "./problem.ts";

export type VerifyOptions = {
  /** The log's verifier key, from a source that the reader trusts. Without it the export's own is used. */
  readonly key?: string;
  /** Checkpoints that were kept where the log's holder could not change them, as signed notes. */
  readonly checkpoints?: readonly string[];
};

export type Report = {
  readonly ok: true;
  readonly origin: string;
  readonly entries: number;
  /** `own`: the key is the export's own word for itself, and anybody could have made one. */
  readonly key: "trusted" | "own";
  /** The first so many entries are those that a checkpoint kept elsewhere vouches for. 0 without one. */
  readonly upTo: number;
  readonly checked: Readonly<Counts> & {
    /** The export's own. */
    readonly checkpoints: number;
    /** Those kept elsewhere. */
    readonly kept: number;
  };
};

/**
 * Answers with a report, or with everything that does not hold, up to a hundred problems. Throws a TypeError for a given
 * `key` that is no verifier key.
 */
export async function verifyLog(
  lines: Iterable<Line> | AsyncIterable<Line>,
  { key: trusted, checkpoints = [] }: VerifyOptions = {},
): Promise<Report | Problems> {
  if (trusted !== undefined) requireVerifierKey(trusted);
  const problems: Problem[] = [];
  const say = (what: string, index?: number) =>
    problems.push(index === undefined ? { what } : { index, what });
  const tree = openTree();
  const history = openHistory();
  let header: Header | undefined;
  let key = trusted;
  let kept: Kept = { at: new Map(), largest: 0 };
  let next = 0; // the index that the next entry has
  let unread = 0; // lines since the last entry that may have been entries
  let covered = 0; // the size of the newest checkpoint that matches
  let checked = 0;
  let last: Row["row"] | undefined;

  for await (const line of lines) {
    const row = readRow(line);
    if (last === undefined) begin(row);
    else if ("refused" in row) skip(row.refused);
    else if (row.row === "header") say(`a second header stands after ${place()}`);
    else if (row.row === "checkpoint") takeCheckpoint(row);
    else await takeEntry(row);
    last = "refused" in row ? (last ?? "header") : row.row;
    if (problems.length >= mostProblems) return { problems: problems.slice(0, mostProblems) };
  }
  finish();
  if (problems.length > 0 || !header) return { problems };
  return {
    ok: true,
    origin: header.origin,
    entries: tree.size(),
    key: trusted === undefined ? "own" : "trusted",
    upTo: kept.largest,
    checked: { ...history.counts, checkpoints: checked, kept: checkpoints.length },
  };

  function begin(row: Row | { readonly refused: RowRefusal }): void {
    if ("refused" in row) say(`the first line ${rowFaults[row.refused]}`);
    else if (row.row !== "header") say("the first line is not the header of an export");
    else header = row;
    if (header) {
      if (!isVerifierKey(header.key)) say("the header names a key that is none");
      else key ??= header.key;
      if (trusted !== undefined && header.key !== trusted)
        say("the header names another key than the trusted one");
      if (header.origin !== originOf(header.key)) say("the header's origin is not the name of its key");
    }
    if (key === undefined) return;
    kept = readKept(checkpoints, key, say);
    compareKept();
  }

  function skip(refusal: RowRefusal): void {
    say(`the line after ${place()} ${rowFaults[refusal]}`);
    unread += 1;
  }

  async function takeEntry({ index, entry: leaf, texts }: EntryRow): Promise<void> {
    if (index < next || index > next + unread)
      say(`entry ${index} stands where entry ${next} belongs`, index);
    next = index + 1;
    unread = 0;
    tree.append(leafHash(leaf));
    const entry = readEntry(leaf);
    if ("refused" in entry) say(entryFaults[entry.refused], index);
    else for (const what of await history.next(entry, texts)) say(what, index);
    compareKept();
  }

  function takeCheckpoint({ checkpoint: note }: CheckpointRow): void {
    if (key === undefined) return;
    const checkpoint = openOwnCheckpoint(note, key);
    if ("refused" in checkpoint)
      return void say(`the checkpoint after ${place()} ${noteFaults[checkpoint.refused]}`);
    const { size, root } = checkpoint;
    if (size < next || size > next + unread)
      return void say(`a checkpoint of ${size} entries stands after ${place()}`);
    if (size !== tree.size() || !isEqual(root, tree.root()))
      return void say(`the first ${size} entries are not those that were signed; the first ${covered} are`);
    covered = size;
    checked += 1;
  }

  function compareKept(): void {
    for (const root of kept.at.get(tree.size()) ?? [])
      if (!isEqual(root, tree.root()))
        say(`the first ${tree.size()} entries are not those of the checkpoint that was kept elsewhere`);
  }

  function finish(): void {
    const size = tree.size();
    if (last === undefined) say("there is nothing to verify");
    if (header && header.size !== size)
      say(`the header announces ${header.size} entries, and there are ${size}`);
    if (last === "entry") say(`no checkpoint covers the entries up to the last, ${next - 1}`);
    for (const at of kept.at.keys())
      if (at > size) say(`a checkpoint of ${at} entries was kept elsewhere, and the log ends after ${size}`);
  }

  function place(): string {
    return next === 0 ? "the header" : `entry ${next - 1}`;
  }
}

type Kept = { readonly at: ReadonlyMap<number, readonly Hash[]>; readonly largest: number };

function readKept(notes: readonly string[], key: string, say: (what: string) => void): Kept {
  const at = new Map<number, Hash[]>();
  let largest = 0;
  for (const note of notes) {
    const checkpoint = openCheckpoint(note, key);
    if ("refused" in checkpoint) {
      say("a checkpoint that was kept elsewhere is not signed by this log's key");
      continue;
    }
    const { size, root } = checkpoint;
    at.set(size, [...(at.get(size) ?? []), root]);
    largest = Math.max(largest, size);
  }
  return { at, largest };
}

const rowFaults: { readonly [refusal in RowRefusal]: string } = {
  not_utf8: "is not UTF-8",
  not_json: "is not JSON that everybody reads alike",
  not_canonical: "is not in canonical form",
  unknown_row: "is neither a header, an entry nor a checkpoint",
};
