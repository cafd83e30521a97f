/** Checkpoints as they are held against what an export says, and the tree that gives the root to compare with. */
import { appendLeaves, type Checkpoint, type Hash, openCheckpoint, treeRoot } from "@countersign/protocol";

/** The log's own name: a verifier key begins with it (C2SP signed-note). */
export function readOrigin(key: string): string {
  return key.slice(0, key.indexOf("+"));
}

/** Throws a TypeError for what is no verifier key. */
export function requireVerifierKey(key: string): void {
  openCheckpoint("", key); // the key is looked at before the note
}

export function isVerifierKey(key: string): boolean {
  try {
    requireVerifierKey(key);
    return true;
  } catch {
    return false;
  }
}

export type NoteRefusal = "not_signed" | "more_signatures";

/**
 * Opens a checkpoint that the log itself hands out. Notes that were kept elsewhere may carry the signatures of witnesses
 * as well; here nobody would check them, and bytes that nobody checks are refused.
 */
export function parseOwnCheckpoint(
  note: string,
  key: string,
): Checkpoint | { readonly refused: NoteRefusal } {
  const checkpoint = openCheckpoint(note, key);
  if ("refused" in checkpoint) return { refused: "not_signed" };
  const signatures = note.lastIndexOf("\n\n") + 2;
  return note.indexOf("\n", signatures) === note.length - 1 ? checkpoint : { refused: "more_signatures" };
}

export const noteFaults: { readonly [refusal in NoteRefusal]: string } = {
  not_signed: "is not signed by the log's key",
  more_signatures: "has signatures that nobody checked",
};

/** A Merkle tree that only grows. Its newest perfect subtree of each height is all that growing or a root asks for. */
export type MerkleTree = { size(): number; root(): Hash; append(leaf: Hash): void };

export function createTree(): MerkleTree {
  const newest: Hash[] = [];
  const node = (level: number) => newest[level]!;
  let size = 0;
  return {
    size: () => size,
    root: () => treeRoot(size, node),
    append: (leaf) => {
      for (const { level, hash } of appendLeaves(size, [leaf], node)) newest[level] = hash;
      size += 1;
    },
  };
}

export function areHashesEqual(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0;
}
