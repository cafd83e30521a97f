/**
 * Verifies an export from its lines alone, in one pass. Memory: the ids of entries, a short record per request, and the
 * subtrees of the Merkle tree that later roots need.
 *
 * A signed checkpoint proves that the holder of the key signed these entries. It does not prove that the holder signed no other
 * log. A checkpoint that was kept elsewhere does, for the entries that it covers.
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
  /** The log's verifier key, from a trusted source. Default: the export's own. */
  readonly key?: string;
  /** Signed notes that were kept where the holder of the log cannot change them. */
  readonly checkpoints?: readonly string[];
};

export type VerifyReport = {
  readonly ok: true;
  readonly origin: string;
  readonly entries: number;
  /** `own`: the key was taken from the export itself, so anyone could have created it. */
  readonly key: "trusted" | "own";
  /** Number of entries that a checkpoint kept elsewhere covers; 0 without one. */
  readonly upTo: number;
  readonly checked: Readonly<Counts> & {
    /** Checkpoints in the export. */
    readonly checkpoints: number;
    /** Checkpoints kept elsewhere. */
    readonly kept: number;
  };
};

/**
 * Verifies an export. Returns a report, or up to 100 problems. Throws a TypeError if `key` is given and is not a verifier
 * key.
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
    else if (row.row === "header") addProblem(`a second header follows ${lastPosition()}`);
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
      if (!isVerifierKey(header.key)) addProblem("the key of the header is not a verifier key");
      else key ??= header.key;
      if (trusted !== undefined && header.key !== trusted)
        addProblem("the key of the header is not the trusted key");
      if (header.origin !== readOrigin(header.key))
        addProblem("the origin of the header differs from its key");
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
      addProblem(`entry ${index} is in the place of entry ${nextIndex}`, index);
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
      return void addProblem(`a checkpoint over ${size} entries follows ${lastPosition()}`);
    if (size !== tree.size() || !areHashesEqual(root, tree.root()))
      return void addProblem(
        `the first ${size} entries do not match their checkpoint; the first ${coveredSize} match theirs`,
      );
    coveredSize = size;
    checkpointCount += 1;
  }

  function compareTrustedCheckpoints(): void {
    for (const root of trustedCheckpoints.bySize.get(tree.size()) ?? [])
      if (!areHashesEqual(root, tree.root()))
        addProblem(`the first ${tree.size()} entries do not match the checkpoint kept elsewhere`);
  }

  function finish(): void {
    const size = tree.size();
    if (last === undefined) addProblem("the export is empty");
    if (header && header.size !== size)
      addProblem(`the header announces ${header.size} entries, but there are ${size}`);
    if (last === "entry") addProblem(`no checkpoint covers the last entry, ${nextIndex - 1}`);
    for (const at of trustedCheckpoints.bySize.keys())
      if (at > size)
        addProblem(`a checkpoint kept elsewhere covers ${at} entries, but the log ends after ${size}`);
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
      addProblem("a checkpoint kept elsewhere is not signed by the key of this log");
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
  not_json: "is not unambiguous JSON",
  not_canonical: "is not in canonical form",
  unknown_row: "is neither a header, an entry nor a checkpoint",
};
