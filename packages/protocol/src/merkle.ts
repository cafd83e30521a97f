import { hash } from "node:crypto";

/** The Merkle tree of the log (RFC 6962 §2.1), and its proofs (RFC 9162 §2.1.3 and §2.1.4). */

/** A SHA-256 hash: 32 bytes. */
export type Hash = Uint8Array;

/**
 * Returns the hash of a perfect subtree: number `index` (from 0) among those of 2^level leaves. A tree of any size consists
 * of such nodes; only they are stored, and they never change.
 */
export type NodeReader = (level: number, index: number) => Hash;

/**
 * Computes the hash of a leaf: SHA-256 of 0x00 and the entry's bytes.
 *
 * @param data - The entry's bytes, or a string, which is encoded as UTF-8.
 */
export function leafHash(data: Uint8Array | string): Hash {
  return sha256(Buffer.concat([leafPrefix, typeof data === "string" ? Buffer.from(data) : data]));
}

/**
 * Computes the hash of a node: SHA-256 of 0x01 and the hashes of its children.
 *
 * @param left - Hash of the left child.
 * @param right - Hash of the right child.
 */
export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256(Buffer.concat([nodePrefix, left, right]));
}

/**
 * Appends leaves to a tree.
 *
 * @param size - Number of leaves before.
 * @param leaves - Hashes of the new leaves.
 * @param node - Returns the stored nodes of the tree. Called at most once per level.
 * @returns Every perfect subtree that is completed, including the leaves (level 0), in order of completion. Store them all.
 * @throws {RangeError} `size` is not a safe integer from 0.
 * @example
 * for (const { level, index, hash } of appendLeaves(size, [leafHash(line)], node)) store(level, index, hash);
 */
export function appendLeaves(
  size: number,
  leaves: readonly Hash[],
  node: NodeReader,
): { level: number; index: number; hash: Hash }[] {
  requireSize(size);
  const completed: { level: number; index: number; hash: Hash }[] = [];
  const leftSiblings: Hash[] = []; // by level, a new left child without its right sibling
  for (const [offset, leaf] of leaves.entries()) {
    let level = 0;
    let index = size + offset;
    let hash = leaf;
    completed.push({ level, index, hash });
    while (isOdd(index)) {
      hash = nodeHash(leftSiblings[level] ?? node(level, index - 1), hash);
      level++;
      index = half(index);
      completed.push({ level, index, hash });
    }
    leftSiblings[level] = hash;
  }
  return completed;
}

/**
 * Computes the root of the first `size` leaves. For 0: SHA-256 of the empty string.
 *
 * @param size - Number of leaves.
 * @param node - Returns the stored nodes of the tree. Called at most once per level.
 * @throws {RangeError} `size` is not a safe integer from 0.
 */
export function treeRoot(size: number, node: NodeReader): Hash {
  requireSize(size);
  return size === 0 ? sha256(new Uint8Array()) : rangeRoot(0, size, node);
}

/**
 * Computes the root of all leaf hashes, by the definition of RFC 6962 §2.1.
 *
 * @param leaves - Hashes of all leaves, in order.
 */
export function rootOf(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0]!;
  const left = leftSize(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, left)), rootOf(leaves.slice(left)));
}

/**
 * Computes the inclusion proof of leaf `index` in the tree of `size` leaves, from the leaf up (RFC 9162 §2.1.3.1).
 *
 * @throws {RangeError} `size` is not a safe integer from 0, or `index` is not below it.
 * @example
 * verifyInclusion(leaf, 3, 8, inclusionProof(3, 8, node), treeRoot(8, node)); // true
 */
export function inclusionProof(index: number, size: number, node: NodeReader): Hash[] {
  requireSize(size);
  if (!isSize(index) || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size} leaves`);
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

/**
 * Returns true if the leaf is number `index` of the `size` leaves under `root` (RFC 9162 §2.1.3.2). Never throws.
 *
 * @param leaf - Hash of the leaf.
 * @param index - Position of the leaf, from 0.
 * @param size - Number of leaves of the tree.
 * @param proof - Hashes from the leaf up.
 * @param root - Root of the tree, from a signed checkpoint.
 */
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
 * Computes the proof that the first `oldSize` of `size` leaves are unchanged (RFC 9162 §2.1.4.1). Empty if `oldSize` is 0 or
 * `size`.
 *
 * @throws {RangeError} `size` is not a safe integer from 0, or `oldSize` is greater.
 * @example
 * verifyConsistency(5, oldRoot, 8, root, consistencyProof(5, 8, node)); // true
 */
export function consistencyProof(oldSize: number, size: number, node: NodeReader): Hash[] {
  requireSize(size);
  if (!isSize(oldSize) || oldSize > size)
    throw new RangeError(`the tree of ${size} leaves is smaller than ${oldSize}`);
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
  if (start > 0) proof.push(rangeRoot(start, length, node)); // otherwise it is the old root, which the verifier has
  return proof.reverse();
}

/**
 * Returns true if the tree of `size` leaves under `root` begins with that of `oldSize` leaves under `oldRoot` (RFC 9162
 * §2.1.4.2). Roots do not determine sizes: take each pair of size and root from one signed checkpoint. Never throws.
 *
 * @param oldSize - Number of leaves of the older tree.
 * @param oldRoot - Root of the older tree.
 * @param size - Number of leaves of the newer tree.
 * @param root - Root of the newer tree.
 * @param proof - Hashes, as `consistencyProof` returns them.
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

/** Computes the root of `length` leaves from `start`, a multiple of the smallest power of two not below `length`. */
function rangeRoot(start: number, length: number, node: NodeReader): Hash {
  const left = leftSize(length);
  if (left * 2 === length || length === 1) return node(Math.round(Math.log2(length)), start / length);
  return nodeHash(rangeRoot(start, left, node), rangeRoot(start + left, length - left, node));
}

/** Returns the number of leaves under the left child: the largest power of two below `length`. */
function leftSize(length: number): number {
  let left = 1;
  while (left * 2 < length) left *= 2;
  return left;
}

function isOdd(index: number): boolean {
  return index % 2 === 1;
}

// Not `>> 1`, which is limited to 32 bits.
function half(index: number): number {
  return Math.floor(index / 2);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function requireSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`invalid tree size: ${size}`);
}

function isHash(value: Hash): boolean {
  return value.length === 32;
}

function isEqual(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0;
}
