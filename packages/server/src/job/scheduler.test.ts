import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { deploy } from "@countersign/testing/server/deployment";
import { createScheduler, type PendingKinds } from "./scheduler.ts";

describe("createScheduler", () => {
  test("runs the jobs that have work, never one twice at once, and reports their errors", async () => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      const calls: string[] = [];
      const faults: string[] = [];
      let found: PendingKinds | Error = new Set<never>();
      let finish = () => {};
      const store = {
        listPendingKinds: () => {
          calls.push("query");
          if (found instanceof Error) throw found;
          return found;
        },
      };
      const work = (name: string) => async () => void calls.push(name);
      const slow = () => {
        calls.push("slow");
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      };
      const scheduler = createScheduler(
        store,
        [
          { name: "slow", when: ["message"], work: slow },
          { name: "sweep", when: ["token", "request"], work: work("sweep") },
          { name: "checkpoint", when: ["log"], work: () => Promise.reject(new Error("no key")) },
          { name: "keys", when: { everyMs: 1_200 }, work: work("keys") },
        ],
        500,
        (fault, where) => faults.push(`${where}: ${(fault as Error).message}`),
      );
      const after = async (ms: number, next: PendingKinds | Error) => {
        found = next;
        calls.length = 0;
        mock.timers.tick(ms);
        await turn();
        return calls.splice(0);
      };
      assert.deepEqual(await after(499, new Set(["token"])), []);
      assert.deepEqual(await after(1, new Set()), ["query"]);
      assert.deepEqual(await after(500, new Set(["message"])), ["query", "slow"]);
      assert.deepEqual(await after(200, new Set()), ["keys"]);
      assert.deepEqual(await after(300, new Set(["message", "request"])), ["query", "sweep"]);
      assert.deepEqual(await after(500, new Error("gone")), ["query"]);
      assert.deepEqual(await after(500, new Set(["log"])), ["keys", "query"]);
      assert.deepEqual(faults, ["schedule: gone", "checkpoint: no key"]);

      let stopped = false;
      const stopping = scheduler.stop().then(() => {
        stopped = true;
      });
      assert.deepEqual(await after(5_000, new Set(["log"])), []);
      assert.equal(stopped, false);
      finish();
      await stopping;
    } finally {
      mock.timers.reset();
    }
  });

  test("has no pending kind after every job has run", async () => {
    const deployment = await deploy();
    try {
      const listPendingKinds = async () => [...(await deployment.server.store.listPendingKinds())].sort();
      await deployment.enrol("ada@example.com");
      assert.equal((await deployment.ask()).status, 200);
      assert.ok((await listPendingKinds()).includes("log"));
      await deployment.server.runJobs();
      assert.deepEqual(await listPendingKinds(), []);
      deployment.clock.now += 3_600_000;
      assert.ok((await listPendingKinds()).includes("request"));
      await deployment.server.runJobs();
      assert.deepEqual(await listPendingKinds(), []);
    } finally {
      await deployment.close();
    }
  });
});
