/** Batches in flight and queued changes when the database fails. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anEntry } from "../contract/fixture.ts";
import { encodeChange } from "../row.ts";
import { createCommitQueue } from "./commit-queue.ts";
import { StoreError } from "./pool.ts";

const lost = () => new StoreError("postgres://nowhere/", { code: "CONNECTION_CLOSED" });
const someChanges = () =>
  Array.from({ length: 300 }, () => encodeChange({ writes: [], entries: [anEntry()] }));

describe("createCommitQueue", () => {
  test("rejects queued changes with the first batch, unsent, if the database is unreachable", async () => {
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

  test("resolves changes committed before a lost connection, and writes the queued ones", async () => {
    const written = new Set<string>();
    let batches = 0;
    const queue = createCommitQueue(
      async (batch) => {
        batches += 1;
        // First batch: half of it is committed, as if the response to COMMIT was lost.
        const committed = batches === 1 ? batch.slice(0, batch.length / 2) : batch;
        for (const { entries } of committed) written.add(entries[0]!.id);
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
});
