import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  appendLeaves,
  consistencyProof,
  type Hash,
  inclusionProof,
  leafHash,
  type NodeReader,
  nodeHash,
  rootOf,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";

const runs = process.env.COUNTERSIGN_LONG ? 3_000 : 150;
const bytes = (text: string): Hash => Buffer.from(text, "hex");
const hex = (hash: Hash): string => Buffer.from(hash).toString("hex");

/** Stores the nodes that appendLeaves returns. Throws if a node that was not stored is read. */
function tree(): { node: NodeReader; append: (leaves: readonly Hash[]) => void } {
  const nodes = new Map<string, Hash>();
  let size = 0;
  const node: NodeReader = (level, index) => {
    const hash = nodes.get(`${level}/${index}`);
    assert.ok(hash, `node ${level}/${index} was never completed`);
    return hash;
  };
  const append = (leaves: readonly Hash[]) => {
    for (const { level, index, hash } of appendLeaves(size, leaves, node)) {
      assert.ok(!nodes.has(`${level}/${index}`), "a node is completed once");
      nodes.set(`${level}/${index}`, hash);
    }
    size += leaves.length;
  };
  return { node, append };
}

function treeOf(leaves: readonly Hash[]): NodeReader {
  const { node, append } = tree();
  append(leaves);
  return node;
}

const numbered = Array.from({ length: 320 }, (_, index) => leafHash(`leaf ${index}`));
const numberedNode = treeOf(numbered);

// The reference tree of certificate-transparency (merkle_tree_test), over these eight entries.
const entries = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const roots = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const reference = entries.map((entry) => leafHash(bytes(entry)));
const referenceNode = treeOf(reference);

const inclusions: [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
  ],
  [
    5,
    8,
    [
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
  ],
  [2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]],
  [
    1,
    5,
    [
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
  ],
];

const consistencies: [oldSize: number, size: number, proof: string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
  ],
  [
    6,
    8,
    [
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
  ],
  [
    2,
    5,
    [
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
  ],
];

describe("Merkle tree", () => {
  test("returns the published root of the reference tree at every size", () => {
    for (const [size, root] of roots.entries()) {
      assert.equal(hex(rootOf(reference.slice(0, size))), root);
      assert.equal(hex(treeRoot(size, referenceNode)), root);
    }
  });

  test("returns the published inclusion proofs of the reference tree", () => {
    for (const [index, size, proof] of inclusions) {
      assert.deepEqual(inclusionProof(index, size, referenceNode).map(hex), proof);
      assert.ok(verifyInclusion(reference[index]!, index, size, proof.map(bytes), bytes(roots[size]!)));
    }
  });

  test("returns the published consistency proofs of the reference tree", () => {
    for (const [oldSize, size, proof] of consistencies) {
      assert.deepEqual(consistencyProof(oldSize, size, referenceNode).map(hex), proof);
      assert.ok(
        verifyConsistency(oldSize, bytes(roots[oldSize]!), size, bytes(roots[size]!), proof.map(bytes)),
      );
    }
  });

  test("separates leaf and node hashes by prefix, and hashes a string as UTF-8", () => {
    const [left, right] = [reference[0]!, reference[1]!];
    assert.notEqual(hex(leafHash(Buffer.concat([left, right]))), hex(nodeHash(left, right)));
    assert.equal(hex(leafHash("é日")), hex(leafHash(Buffer.from("é日", "utf8"))));
  });

  const sizeUpTo300 = fc.integer({ min: 1, max: 300 });

  test("returns the root of the definition for any portions, and completes each node once", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { maxLength: 8 }), (portions) => {
        const { node, append } = tree();
        let size = 0;
        for (const portion of portions) {
          append(numbered.slice(size, size + portion));
          size += portion;
          assert.equal(hex(treeRoot(size, node)), hex(rootOf(numbered.slice(0, size))));
        }
      }),
      { numRuns: runs },
    );
  });

  test("reads at most one old node per level when appending", () => {
    const read: string[] = [];
    const node: NodeReader = (level, index) => {
      read.push(`${level}/${index}`);
      return numberedNode(level, index);
    };
    appendLeaves(255, numbered.slice(255, 320), node);
    assert.deepEqual(read, ["0/254", "1/126", "2/62", "3/30", "4/14", "5/6", "6/2", "7/0"]);
  });

  /** Returns invalid variants of a proof: a hash changed, missing, added, exchanged or shortened. */
  function mutations(proof: readonly Hash[]): Hash[][] {
    const flipped = proof.map((hash, place) => {
      const changed = Buffer.from(hash);
      changed[place % 32]! ^= 1 << (place % 8);
      return proof.with(place, changed) as Hash[];
    });
    const missing = proof.map((_, place) => proof.toSpliced(place, 1));
    const extra = [...proof, undefined].map((_, place) =>
      proof.toSpliced(place, 0, proof[place] ?? numbered[0]!),
    );
    const exchanged = proof
      .slice(1)
      .map((hash, place) => proof.with(place, hash).with(place + 1, proof[place]!));
    const short = proof.map((hash, place) => proof.with(place, hash.subarray(0, 31)));
    return [...flipped, ...missing, ...extra, ...exchanged, ...short];
  }

  const other = leafHash("of another tree");

  test("verifies an inclusion proof for its leaf, root, index and proof, and for no other", () => {
    const place = sizeUpTo300.chain((size) =>
      fc.tuple(fc.constant(size), fc.nat(size - 1), fc.nat(size - 1)),
    );
    fc.assert(
      fc.property(place, ([size, index, elsewhere]) => {
        const leaf = numbered[index]!;
        const root = rootOf(numbered.slice(0, size));
        const proof = inclusionProof(index, size, numberedNode);
        assert.ok(proof.length <= Math.ceil(Math.log2(size)));
        assert.equal(verifyInclusion(leaf, index, size, proof, root), true);
        assert.equal(verifyInclusion(other, index, size, proof, root), false);
        assert.equal(verifyInclusion(leaf, index, size, proof, other), false);
        assert.equal(verifyInclusion(leaf, elsewhere, size, proof, root), elsewhere === index);
        for (const wrong of mutations(proof))
          assert.equal(verifyInclusion(leaf, index, size, wrong, root), false);
      }),
      { numRuns: runs },
    );
  });

  test("verifies a consistency proof for every earlier tree, and for no other root or proof", () => {
    const pair = sizeUpTo300.chain((size) => fc.tuple(fc.integer({ min: 1, max: size }), fc.constant(size)));
    fc.assert(
      fc.property(pair, ([oldSize, size]) => {
        const [oldRoot, root] = [rootOf(numbered.slice(0, oldSize)), rootOf(numbered.slice(0, size))];
        const proof = consistencyProof(oldSize, size, numberedNode);
        assert.equal(verifyConsistency(oldSize, oldRoot, size, root, proof), true);
        assert.equal(verifyConsistency(oldSize, other, size, root, proof), false);
        assert.equal(verifyConsistency(oldSize, oldRoot, size, other, proof), false);
        for (const wrong of mutations(proof)) {
          assert.equal(verifyConsistency(oldSize, oldRoot, size, root, wrong), false);
        }
      }),
      { numRuns: runs },
    );
  });

  test("finds no consistency proof for a log with a rewritten entry", () => {
    const place = sizeUpTo300.chain((size) =>
      fc.tuple(fc.integer({ min: 1, max: size }), fc.constant(size), fc.nat()),
    );
    fc.assert(
      fc.property(place, ([oldSize, size, seed]) => {
        const rewritten = numbered.slice(0, size).with(seed % oldSize, other);
        const proof = consistencyProof(oldSize, size, treeOf(rewritten));
        const oldRoot = rootOf(numbered.slice(0, oldSize));
        assert.equal(verifyConsistency(oldSize, oldRoot, size, rootOf(rewritten), proof), false);
      }),
      { numRuns: runs },
    );
  });

  test("treats the empty tree as prefix of every tree, and a tree as prefix of an equal one", () => {
    const [empty, root] = [rootOf([]), rootOf(numbered.slice(0, 7))];
    assert.deepEqual(consistencyProof(0, 7, numberedNode), []);
    assert.equal(verifyConsistency(0, empty, 7, root, []), true);
    assert.equal(verifyConsistency(0, empty, 0, empty, []), true);
    assert.equal(verifyConsistency(0, other, 7, root, []), false);
    assert.equal(verifyConsistency(0, empty, 7, root, [other]), false);
    assert.equal(verifyConsistency(7, root, 7, root, []), true);
    assert.equal(verifyConsistency(7, root, 7, other, []), false);
    assert.equal(verifyConsistency(7, root, 7, root, [other]), false);
  });

  test("proves sizes beyond 2^32", () => {
    const perfect = [leafHash("the same")]; // every leaf equal: one hash per level
    for (let level = 1; level <= 52; level++)
      perfect.push(nodeHash(perfect[level - 1]!, perfect[level - 1]!));
    const node: NodeReader = (level, index) => {
      assert.ok(Number.isSafeInteger(index));
      return perfect[level]!;
    };
    const [oldSize, size] = [2 ** 33 + 3, 2 ** 52 + 2 ** 31 + 5];
    const [oldRoot, root] = [treeRoot(oldSize, node), treeRoot(size, node)];
    for (const index of [0, 2 ** 31, 2 ** 32 + 1, 2 ** 52 - 1, 2 ** 52, size - 1]) {
      assert.equal(verifyInclusion(perfect[0]!, index, size, inclusionProof(index, size, node), root), true);
    }
    const proof = consistencyProof(oldSize, size, node);
    assert.equal(verifyConsistency(oldSize, oldRoot, size, root, proof), true);
    assert.equal(verifyConsistency(oldSize, root, size, root, proof), false);
    assert.deepEqual(
      appendLeaves(2 ** 40 - 1, [perfect[0]!], node).at(-1),
      { level: 40, index: 0, hash: perfect[40]! },
      "the last leaf completes every level above it",
    );
  });

  test("rejects a proof for a tree of another height", () => {
    const [four, eight] = [rootOf(numbered.slice(0, 4)), rootOf(numbered.slice(0, 8))];
    assert.equal(
      verifyInclusion(four, 0, 2, [], four),
      false,
      "a node is not passed off as the leaf of a larger tree",
    );
    const inclusion = inclusionProof(0, 4, numberedNode);
    assert.equal(verifyInclusion(numbered[0]!, 0, 4, inclusion, four), true);
    for (const size of [2, 8, 16])
      assert.equal(verifyInclusion(numbered[0]!, 0, size, inclusion, four), false);
    const consistency = consistencyProof(4, 8, numberedNode);
    assert.equal(verifyConsistency(4, four, 8, eight, consistency), true);
    for (const size of [16, 32]) assert.equal(verifyConsistency(4, four, size, eight, consistency), false);
  });

  test("prevents bytes from moving between adjacent hashes of a proof", () => {
    const [four, eight] = [rootOf(numbered.slice(0, 4)), rootOf(numbered.slice(0, 8))];
    const shift = (left: Hash, right: Hash) =>
      [Buffer.concat([left, right.subarray(0, 1)]), right.subarray(1)] as const;
    const [first, ...rest] = inclusionProof(0, 8, numberedNode);
    const [leaf, sibling] = shift(numbered[0]!, first!);
    assert.equal(verifyInclusion(leaf, 0, 8, [sibling, ...rest], eight), false);
    const [oldRoot, next] = shift(four, consistencyProof(4, 8, numberedNode)[0]!);
    assert.equal(verifyConsistency(4, oldRoot, 8, eight, [next]), false);
  });

  test("rejects invalid indexes and sizes when verifying, and throws when proving", () => {
    const leaf = numbered[0]!;
    for (const [index, size] of [
      [1, 1],
      [0, 0],
      [-1, 1],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, 2 ** 53],
    ] as const) {
      assert.equal(verifyInclusion(leaf, index, size, [], leaf), false);
      assert.throws(() => inclusionProof(index, size, numberedNode), RangeError);
    }
    for (const [oldSize, size] of [
      [2, 1],
      [-1, 1],
      [0.5, 1],
      [0, -1],
      [1, Number.NaN],
    ] as const) {
      assert.equal(verifyConsistency(oldSize, leaf, size, leaf, []), false);
      assert.throws(() => consistencyProof(oldSize, size, numberedNode), RangeError);
    }
    assert.throws(() => treeRoot(-1, numberedNode), RangeError);
    assert.throws(() => appendLeaves(1.5, [leaf], numberedNode), RangeError);
  });
});
