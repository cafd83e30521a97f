/** What a node does with the changes that are under way, and with those behind, when its database is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { anEntry } from "../contract/fixture.ts";
import { encodeChange } from "../row.ts";
import { createCommitQueue } from "./commit-queue.ts";
import { StoreError } from "./pool.ts";

const lost = () => new StoreError("postgres://nowhere/", { code: "CONNECTION_CLOSED" });
const someChanges = () =>
  Array.from({ length: 300 }, () => encodeChange({ writes: [], entries: [anEntry()] }));

test("where the database is gone, those behind in the queue are told with the first batch, and nothing of them is sent", async () => {
  let batches = 0;
  const queue = createCommitQueue(
    async () => {
      batches += 1;
      throw lost();
    },
    async () => {
      throw lost();
    },
  );
  const ends = await Promise.allSettled(someChanges().map(queue.submit));
  assert.ok(ends.every(({ status }) => status === "rejected"));
  assert.equal(batches, 1);
});

test("where only the connection was lost, what was committed before is found, and those behind are written", async () => {
  const written = new Set<string>();
  let batches = 0;
  const queue = createCommitQueue(
    async (batch) => {
      batches += 1;
      // The first: half of it is there, as after a COMMIT whose answer was lost, and half of it is not.
      const there = batches === 1 ? batch.slice(0, batch.length / 2) : batch;
      for (const { entries } of there) written.add(entries[0]!.id);
      if (batches === 1) throw lost();
      return batch.map(() => "committed");
    },
    async (entryId) => written.has(entryId),
  );
  const changes = someChanges();
  const ends = await Promise.allSettled(changes.map(queue.submit));
  for (const [at, end] of ends.entries())
    assert.equal(end.status === "fulfilled", written.has(changes[at]!.entries[0]!.id));
  assert.ok(batches > 2);
  assert.equal(ends.filter(({ status }) => status === "rejected").length, 32);
});
