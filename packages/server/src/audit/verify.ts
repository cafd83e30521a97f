/**
 * Verifies an export from its lines alone, in one pass. Kept in memory are the ids of entries and a short record of each
 * request; of the Merkle tree only the few subtrees that later roots still need.
 *
 * A signed checkpoint says that these are the entries that the holder of the key put there; it does not keep that holder
 * from signing another log. Only a checkpoint that was kept elsewhere does, for the entries that it covers.
 */
import { type Hash, leafHash, openCheckpoint } from "@countersign/protocol";
import { type Counts, createHistory } from "./check/history.ts";
import {
  areHashesEqual,
  createTree,
  isVerifierKey,
  noteFaults,
  parseOwnCheckpoint,
  readOrigin,
  requireVerifierKey,
} from "./checkpoint.ts";
import {
  type CheckpointRow,
  type EntryRow,
  type Header,
  type Line,
  type Row,
  type RowRefusal,
  readRow,
} from "./line.ts";
import { entryFaults, readEntry } from "./parse-entry.ts";
import { type AuditProblem, type AuditProblems, maxProblems } from "./problem.ts";

export type VerifyOptions = {
  /** The log's verifier key, from a source that the reader trusts. Without it the export's own is used. */
  readonly key?: string;
  /** Checkpoints that were kept where the log's holder could not change them, as signed notes. */
  readonly checkpoints?: readonly string[];
};

export type VerifyReport = {
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
): Promise<VerifyReport | AuditProblems> {
  if (trusted !== undefined) requireVerifierKey(trusted);
  const problems: AuditProblem[] = [];
  const addProblem = (what: string, index?: number) =>
    problems.push(index === undefined ? { message: what } : { index, message: what });
  const tree = createTree();
  const history = createHistory();
  let header: Header | undefined;
  let key = trusted;
  let trustedCheckpoints: TrustedCheckpoints = { bySize: new Map(), maxSize: 0 };
  let nextIndex = 0; // the index that the next entry has
  let unreadLines = 0; // lines since the last entry that may have been entries
  let coveredSize = 0; // the size of the newest checkpoint that matches
  let checkpointCount = 0;
  let last: Row["row"] | undefined;

  for await (const line of lines) {
    const row = readRow(line);
    if (last === undefined) takeFirstLine(row);
    else if ("refused" in row) skipUnreadable(row.refused);
    else if (row.row === "header") addProblem(`a second header stands after ${lastPosition()}`);
    else if (row.row === "checkpoint") takeCheckpoint(row);
    else await takeEntry(row);
    last = "refused" in row ? (last ?? "header") : row.row;
    if (problems.length >= maxProblems) return { problems: problems.slice(0, maxProblems) };
  }
  finish();
  if (problems.length > 0 || !header) return { problems };
  return {
    ok: true,
    origin: header.origin,
    entries: tree.size(),
    key: trusted === undefined ? "own" : "trusted",
    upTo: trustedCheckpoints.maxSize,
    checked: { ...history.counts, checkpoints: checkpointCount, kept: checkpoints.length },
  };

  function takeFirstLine(row: Row | { readonly refused: RowRefusal }): void {
    if ("refused" in row) addProblem(`the first line ${rowFaults[row.refused]}`);
    else if (row.row !== "header") addProblem("the first line is not the header of an export");
    else header = row;
    if (header) {
      if (!isVerifierKey(header.key)) addProblem("the header names a key that is none");
      else key ??= header.key;
      if (trusted !== undefined && header.key !== trusted)
        addProblem("the header names another key than the trusted one");
      if (header.origin !== readOrigin(header.key))
        addProblem("the header's origin is not the name of its key");
    }
    if (key === undefined) return;
    trustedCheckpoints = readTrustedCheckpoints(checkpoints, key, addProblem);
    compareTrustedCheckpoints();
  }

  function skipUnreadable(refusal: RowRefusal): void {
    addProblem(`the line after ${lastPosition()} ${rowFaults[refusal]}`);
    unreadLines += 1;
  }

  async function takeEntry({ index, entry: leaf, texts }: EntryRow): Promise<void> {
    if (index < nextIndex || index > nextIndex + unreadLines)
      addProblem(`entry ${index} stands where entry ${nextIndex} belongs`, index);
    nextIndex = index + 1;
    unreadLines = 0;
    tree.append(leafHash(leaf));
    const entry = readEntry(leaf);
    if ("refused" in entry) addProblem(entryFaults[entry.refused], index);
    else for (const what of await history.checkNext(entry, texts)) addProblem(what, index);
    compareTrustedCheckpoints();
  }

  function takeCheckpoint({ checkpoint: note }: CheckpointRow): void {
    if (key === undefined) return;
    const checkpoint = parseOwnCheckpoint(note, key);
    if ("refused" in checkpoint)
      return void addProblem(`the checkpoint after ${lastPosition()} ${noteFaults[checkpoint.refused]}`);
    const { size, root } = checkpoint;
    if (size < nextIndex || size > nextIndex + unreadLines)
      return void addProblem(`a checkpoint of ${size} entries stands after ${lastPosition()}`);
    if (size !== tree.size() || !areHashesEqual(root, tree.root()))
      return void addProblem(
        `the first ${size} entries are not those that were signed; the first ${coveredSize} are`,
      );
    coveredSize = size;
    checkpointCount += 1;
  }

  function compareTrustedCheckpoints(): void {
    for (const root of trustedCheckpoints.bySize.get(tree.size()) ?? [])
      if (!areHashesEqual(root, tree.root()))
        addProblem(
          `the first ${tree.size()} entries are not those of the checkpoint that was kept elsewhere`,
        );
  }

  function finish(): void {
    const size = tree.size();
    if (last === undefined) addProblem("there is nothing to verify");
    if (header && header.size !== size)
      addProblem(`the header announces ${header.size} entries, and there are ${size}`);
    if (last === "entry") addProblem(`no checkpoint covers the entries up to the last, ${nextIndex - 1}`);
    for (const at of trustedCheckpoints.bySize.keys())
      if (at > size)
        addProblem(`a checkpoint of ${at} entries was kept elsewhere, and the log ends after ${size}`);
  }

  function lastPosition(): string {
    return nextIndex === 0 ? "the header" : `entry ${nextIndex - 1}`;
  }
}

type TrustedCheckpoints = { readonly bySize: ReadonlyMap<number, readonly Hash[]>; readonly maxSize: number };

function readTrustedCheckpoints(
  notes: readonly string[],
  key: string,
  addProblem: (what: string) => void,
): TrustedCheckpoints {
  const bySize = new Map<number, Hash[]>();
  let maxSize = 0;
  for (const note of notes) {
    const checkpoint = openCheckpoint(note, key);
    if ("refused" in checkpoint) {
      addProblem("a checkpoint that was kept elsewhere is not signed by this log's key");
      continue;
    }
    const { size, root } = checkpoint;
    bySize.set(size, [...(bySize.get(size) ?? []), root]);
    maxSize = Math.max(maxSize, size);
  }
  return { bySize, maxSize };
}

const rowFaults: { readonly [refusal in RowRefusal]: string } = {
  not_utf8: "is not UTF-8",
  not_json: "is not JSON that everybody reads alike",
  not_canonical: "is not in canonical form",
  unknown_row: "is neither a header, an entry nor a checkpoint",
};
