import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Hash, leafHash, rootOf } from "@countersign/protocol";
import { areHashesEqual, createTree } from "./checkpoint.ts";

describe("createTree", () => {
  test("has the root of all its leaves at every size", () => {
    const tree = createTree();
    const leaves: Hash[] = [];
    for (let size = 0; size <= 70; size += 1) {
      assert.equal(tree.size(), size);
      assert.ok(areHashesEqual(tree.root(), rootOf(leaves)), `at ${size}`);
      const leaf = leafHash(`entry ${size}`);
      leaves.push(leaf);
      tree.append(leaf);
    }
  });
});
