import { hash } from "node:crypto";

/** The Merkle tree of the log (RFC 6962 §2.1, proofs as RFC 9162 §2.1.3 and §2.1.4 spell them out). */

/** A SHA-256 hash: 32 bytes. */
export type Hash = Uint8Array;

/**
 * Reads the hash of a perfect subtree: the one of 2^level leaves that is number `index` (from 0) among those of its size.
 * A tree of any size is made of such nodes; only they are kept, and they never change.
 */
export type NodeReader = (level: number, index: number) => Hash;

/** SHA-256 of 0x00 and the entry's bytes (of a string: its UTF-8). */
export function leafHash(data: Uint8Array | string): Hash {
  return sha256(Buffer.concat([leafPrefix, typeof data === "string" ? Buffer.from(data) : data]));
}

/** SHA-256 of 0x01 and both children's hashes. */
export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256(Buffer.concat([nodePrefix, left, right]));
}

/**
 * Appends leaves to a tree of `size` leaves: answers every perfect subtree that this completes, the leaves themselves
 * (level 0) included, in the order in which they come to be. What was there before is read through `node`, at most one
 * hash per level. Keep them all, and `node` can read them.
 */
export function appendLeaves(
  size: number,
  leaves: readonly Hash[],
  node: NodeReader,
): { level: number; index: number; hash: Hash }[] {
  requireSize(size);
  const grown: { level: number; index: number; hash: Hash }[] = [];
  const waiting: Hash[] = []; // by level, the left child made here that waits for its right one
  for (const [offset, leaf] of leaves.entries()) {
    let level = 0;
    let index = size + offset;
    let hash = leaf;
    grown.push({ level, index, hash });
    while (isOdd(index)) {
      hash = nodeHash(waiting[level] ?? node(level, index - 1), hash);
      level++;
      index = half(index);
      grown.push({ level, index, hash });
    }
    waiting[level] = hash;
  }
  return grown;
}

/** The root of the first `size` leaves; of none, SHA-256 of nothing. */
export function treeRoot(size: number, node: NodeReader): Hash {
  requireSize(size);
  return size === 0 ? sha256(new Uint8Array()) : rangeRoot(0, size, node);
}

/** The root of these leaf hashes, by the definition of RFC 6962 §2.1: for whoever holds them all. */
export function rootOf(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0]!;
  const left = leftSize(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, left)), rootOf(leaves.slice(left)));
}

/** The audit path of leaf `index` in the tree of `size` leaves, from the leaf up (RFC 9162 §2.1.3.1). */
export function inclusionProof(index: number, size: number, node: NodeReader): Hash[] {
  requireSize(size);
  if (!isSize(index) || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size}`);
  const proof: Hash[] = [];
  let start = 0;
  let length = size;
  while (length > 1) {
    const left = leftSize(length);
    if (index < start + left) {
      proof.push(rangeRoot(start + left, length - left, node));
      length = left;
    } else {
      proof.push(rangeRoot(start, left, node));
      start += left;
      length -= left;
    }
  }
  return proof.reverse();
}

/** Tells whether the leaf is number `index` of the `size` leaves under `root` (RFC 9162 §2.1.3.2). */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
  root: Hash,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || ![leaf, root, ...proof].every(isHash)) return false;
  let own = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(own) || own === last) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(own) && own !== 0) [own, last] = [half(own), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [own, last] = [half(own), half(last)];
  }
  return last === 0 && isEqual(hash, root);
}

/**
 * The proof that the first `oldSize` of `size` leaves are what they were (RFC 9162 §2.1.4.1). Empty where there is nothing
 * to prove: from the empty tree, and from a tree to itself.
 */
export function consistencyProof(oldSize: number, size: number, node: NodeReader): Hash[] {
  requireSize(size);
  if (!isSize(oldSize) || oldSize > size)
    throw new RangeError(`a tree of ${size} never had ${oldSize} leaves`);
  if (oldSize === 0 || oldSize === size) return [];
  const proof: Hash[] = [];
  let start = 0;
  let length = size;
  while (oldSize !== start + length) {
    const left = leftSize(length);
    if (oldSize <= start + left) {
      proof.push(rangeRoot(start + left, length - left, node));
      length = left;
    } else {
      proof.push(rangeRoot(start, left, node));
      start += left;
      length -= left;
    }
  }
  if (start > 0) proof.push(rangeRoot(start, length, node)); // else it is the old root, which the other side has
  return proof.reverse();
}

/**
 * Tells whether the tree of `size` leaves under `root` begins with the one of `oldSize` under `oldRoot` (RFC 9162
 * §2.1.4.2). The roots alone do not fix the sizes: take each pair of size and root from one signed checkpoint.
 */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Hash,
  size: number,
  root: Hash,
  proof: readonly Hash[],
): boolean {
  if (!isSize(oldSize) || !isSize(size) || oldSize > size || ![oldRoot, root, ...proof].every(isHash))
    return false;
  if (oldSize === size) return proof.length === 0 && isEqual(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && isEqual(oldRoot, sha256(new Uint8Array()));
  let own = oldSize - 1;
  let last = size - 1;
  while (isOdd(own)) [own, last] = [half(own), half(last)];
  const [first, ...rest] = own === 0 ? [oldRoot, ...proof] : proof; // 0: oldSize is a power of two
  if (first === undefined) return false;
  let oldHash = first;
  let hash = first;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (isOdd(own) || own === last) {
      oldHash = nodeHash(sibling, oldHash);
      hash = nodeHash(sibling, hash);
      while (!isOdd(own) && own !== 0) [own, last] = [half(own), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [own, last] = [half(own), half(last)];
  }
  return last === 0 && isEqual(oldHash, oldRoot) && isEqual(hash, root);
}

const leafPrefix = Buffer.from([0x00]);
const nodePrefix = Buffer.from([0x01]);

function sha256(data: Uint8Array): Hash {
  return hash("sha256", data, "buffer");
}

/** The root over `length` leaves from `start`, where `start` is a multiple of the power of two that `length` needs. */
function rangeRoot(start: number, length: number, node: NodeReader): Hash {
  const left = leftSize(length);
  if (left * 2 === length || length === 1) return node(Math.round(Math.log2(length)), start / length);
  return nodeHash(rangeRoot(start, left, node), rangeRoot(start + left, length - left, node));
}

/** How many of `length` leaves are under the left child: the largest power of two below `length`. */
function leftSize(length: number): number {
  let left = 1;
  while (left * 2 < length) left *= 2;
  return left;
}

function isOdd(index: number): boolean {
  return index % 2 === 1;
}

// Not `>> 1`: that stops at 2^31, sizes do not.
function half(index: number): number {
  return Math.floor(index / 2);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function requireSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`not a tree size: ${size}`);
}

function isHash(value: Hash): boolean {
  return value.length === 32;
}

function isEqual(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0;
}
