/** Reads checkpoints, and computes the Merkle roots that they are compared with. */
import { appendLeaves, type Checkpoint, type Hash, openCheckpoint, treeRoot } from "@countersign/protocol";

/** Returns the log's origin: the name that a verifier key begins with (C2SP signed-note). */
export function readOrigin(key: string): string {
  return key.slice(0, key.indexOf("+"));
}

/** Throws a TypeError if `key` is not a verifier key. */
export function requireVerifierKey(key: string): void {
  openCheckpoint("", key); // parses the key before the note
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
 * Parses a checkpoint of an export. Refuses further signatures: they are not verified here, and bytes that are not verified
 * could be changed. Notes that were kept elsewhere may have signatures of witnesses.
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
  more_signatures: "has further signatures, which are not verified",
};

/** An append-only Merkle tree. Keeps only the newest perfect subtree of each height; appending and roots need no more. */
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
