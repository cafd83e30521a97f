/** The log grows in order of arrival, is immutable, and proves both. */
import assert from "node:assert/strict";
import {
  type Hash,
  leafHash,
  opensCommitment,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "@countersign/protocol";
import type { Store } from "../store.ts";
import type { ContractCase } from "./contract-case.ts";
import { anEntry } from "./fixture.ts";

export function logContract(contractCase: ContractCase): void {
  const lines = async (store: Store) => (await store.log.entries(0, 1_000)).map(({ line }) => line);
  const ids = async (store: Store) => (await lines(store)).map((line) => JSON.parse(line).id as string);
  const indexes = async (store: Store) => (await store.log.entries(0, 1_000)).map(({ index }) => index);
  const add = async (store: Store, count: number) => {
    const entries = Array.from({ length: count }, () => anEntry());
    await Promise.all(entries.map((entry) => store.commit({ writes: [], entries: [entry] })));
    return entries.map(({ entry }) => entry.id);
  };

  contractCase("has size 0 and the root of the empty tree if it is empty", async ({ store }) => {
    assert.equal(await store.log.size(), 0);
    assert.deepEqual(bytes(await store.log.root(0)), bytes(rootOf([])));
    assert.equal(await store.log.sequence(10), 0);
    assert.deepEqual(await store.log.entries(0, 10), []);
    assert.equal(await store.log.newestCheckpoint(), undefined);
  });

  contractCase("assigns consecutive indexes in order of arrival, once (sequence)", async ({ store }) => {
    const pair = [anEntry(), anEntry()] as const;
    const arrived = await add(store, 3);
    await store.commit({ writes: [], entries: pair });
    arrived.push(...pair.map(({ entry }) => entry.id), ...(await add(store, 2)));
    assert.equal(await store.log.size(), 0);
    assert.equal(await store.log.sequence(4), 4);
    assert.deepEqual(await ids(store), arrived.slice(0, 4));
    assert.equal(await store.log.sequence(100), 7);
    assert.equal(await store.log.sequence(100), 7);
    assert.deepEqual(await ids(store), arrived);
    assert.deepEqual(await indexes(store), [0, 1, 2, 3, 4, 5, 6]);
    const middle = await store.log.entries(2, 3);
    assert.deepEqual(
      middle.map(({ index }) => index),
      [2, 3, 4],
    );
  });

  contractCase(
    "returns entries of one request or of all, newest first, also unsequenced ones (newest)",
    async ({ store }) => {
      const commitEntry = (request?: string) =>
        store.commit({ writes: [], entries: [anEntry(request ? { request } : {})] });
      for (const request of ["req_1", undefined, "req_2", "req_1"]) await commitEntry(request);
      await store.log.sequence(3);
      const seen = async (limit: number, request?: string) =>
        (await store.log.newest(limit, request)).map(({ index, line }) => [index, JSON.parse(line).request]);
      assert.deepEqual(await seen(9), [
        [-1, "req_1"],
        [2, "req_2"],
        [1, undefined],
        [0, "req_1"],
      ]);
      assert.deepEqual(await seen(2), [
        [-1, "req_1"],
        [2, "req_2"],
      ]);
      assert.deepEqual(await seen(9, "req_1"), [
        [-1, "req_1"],
        [0, "req_1"],
      ]);
      assert.deepEqual(await seen(9, "req_unknown"), []);
    },
  );

  contractCase(
    "assigns each index once and without a gap with concurrent sequencers",
    async ({ store, reopen }) => {
      const other = await reopen();
      const arrived: string[] = [];
      for (let round = 0; round < 5; round += 1) {
        arrived.push(...(await add(round % 2 ? store : other, 9)));
        await Promise.all([store, other, store, other].map((handle) => handle.log.sequence(4)));
      }
      for (let step = 0; step < arrived.length; step += 4) await store.log.sequence(4);
      assert.deepEqual(await indexes(other), [...arrived.keys()]);
      assert.deepEqual(await ids(other), arrived);
      assert.deepEqual(
        bytes(await other.log.root(arrived.length)),
        bytes(rootOf((await lines(other)).map(leafHash))),
      );
    },
  );

  contractCase("returns roots and proofs that verify at every size", async ({ store }) => {
    const entryCount = 70;
    await add(store, entryCount);
    for (const step of [1, 2, 5, 8, 1, 16, 3, 100]) await store.log.sequence(step);
    const leaves = (await lines(store)).map(leafHash);
    assert.equal(leaves.length, entryCount);
    const roots: Hash[] = [];
    for (let size = 0; size <= entryCount; size += 1) {
      const root = await store.log.root(size);
      assert.deepEqual(bytes(root), bytes(rootOf(leaves.slice(0, size))), `root of ${size}`);
      roots.push(root);
      for (let index = 0; index < size; index += 1) {
        const proof = await store.log.inclusion(index, size);
        assert.ok(verifyInclusion(leaves[index]!, index, size, proof, root), `entry ${index} in ${size}`);
      }
      for (let old = 1; old <= size; old += 1) {
        const proof = await store.log.consistency(old, size);
        assert.ok(verifyConsistency(old, roots[old]!, size, root, proof), `${old} in ${size}`);
      }
    }
  });

  contractCase("rejects roots, proofs and checkpoints beyond the sequenced size", async ({ store }) => {
    await add(store, 3);
    await store.log.sequence(2);
    await assert.rejects(async () => store.log.root(3), /2 sequenced/);
    await assert.rejects(async () => store.log.inclusion(0, 3), /2 sequenced/);
    await assert.rejects(async () => store.log.consistency(1, 3), /2 sequenced/);
    await assert.rejects(async () => store.log.storeCheckpoint(3, "note"), /2 sequenced/);
  });

  contractCase("finds committed entries, with and without an index (hasEntry)", async ({ store, reopen }) => {
    const [id] = await add(store, 1);
    const lost = anEntry();
    await store.commit({ writes: [], notOnOrAfter: 0, entries: [lost] });
    for (const handle of [store, await reopen()]) {
      assert.equal(await handle.log.hasEntry(id!), true);
      assert.equal(await handle.log.hasEntry(lost.entry.id), false);
    }
    await store.log.sequence(1);
    assert.equal(await store.log.hasEntry(id!), true);
  });

  contractCase(
    "removes the texts of an entry and leaves its line unchanged (eraseTexts)",
    async ({ store }) => {
      const erased = anEntry({}, { reason: "Das ist zu viel — “nein” 😀", note: "" });
      const kept = anEntry({}, { reason: "kept" });
      for (const entry of [erased, kept]) await store.commit({ writes: [], entries: [entry] });
      await store.log.sequence(2);
      const root = bytes(await store.log.root(2));
      const [before, neighbour] = await store.log.entries(0, 2);
      assert.deepEqual(before?.texts, erased.texts);
      for (const [name, { text, salt }] of Object.entries(before!.texts))
        assert.ok(opensCommitment(JSON.parse(before!.line).texts[name], text, salt));
      await store.log.eraseTexts(erased.entry.id);
      assert.deepEqual(await store.log.entries(0, 2), [{ ...before, texts: {} }, neighbour]);
      assert.deepEqual(bytes(await store.log.root(2)), root);
      await store.log.eraseTexts(erased.entry.id);
      await store.log.eraseTexts("log_unknown");
      assert.deepEqual((await store.log.newest(1))[0]?.texts, kept.texts);
    },
  );

  contractCase(
    "returns checkpoints by size, stores equal ones once, and finds the newest",
    async ({ store, reopen }) => {
      await add(store, 3);
      await store.log.sequence(3);
      for (const size of [1, 3, 3]) await store.log.storeCheckpoint(size, `note ${size}`);
      await store.log.storeCheckpoint(3, "note 3, signed by the next key");
      await store.log.storeCheckpoint(2, "note 2");
      const next = await reopen();
      assert.deepEqual(await next.log.checkpoints(), [
        { size: 1, note: "note 1" },
        { size: 2, note: "note 2" },
        { size: 3, note: "note 3" },
        { size: 3, note: "note 3, signed by the next key" },
      ]);
      assert.deepEqual(await next.log.newestCheckpoint(), {
        size: 3,
        note: "note 3, signed by the next key",
      });
    },
  );
}

const bytes = (hash: Hash) => Buffer.from(hash).toString("base64url");
