import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { deploy } from "@countersign/testing/server/deployment";
import { createScheduler, type PendingKinds } from "./scheduler.ts";

test("a look makes the rounds that there is something to do for, each never twice at once, and no other", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const asked: string[] = [];
    const faults: string[] = [];
    let found: PendingKinds | Error = new Set<never>();
    let finish = () => {};
    const store = {
      listPendingKinds: () => {
        asked.push("outstanding");
        if (found instanceof Error) throw found;
        return found;
      },
    };
    const work = (name: string) => async () => void asked.push(name);
    const slow = () => {
      asked.push("slow");
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    const rounds = createScheduler(
      store,
      [
        { name: "slow", when: ["message"], work: slow },
        { name: "swept", when: ["token", "request"], work: work("swept") },
        { name: "signed", when: ["log"], work: () => Promise.reject(new Error("no pen")) },
        { name: "often", when: { everyMs: 1_200 }, work: work("often") },
      ],
      500,
      (fault, where) => faults.push(`${where}: ${(fault as Error).message}`),
    );
    const after = async (ms: number, next: PendingKinds | Error) => {
      found = next;
      asked.length = 0;
      mock.timers.tick(ms);
      await turn();
      return asked.splice(0);
    };
    assert.deepEqual(await after(499, new Set(["token"])), []);
    assert.deepEqual(await after(1, new Set()), ["outstanding"]);
    assert.deepEqual(await after(500, new Set(["message"])), ["outstanding", "slow"]);
    assert.deepEqual(await after(200, new Set()), ["often"]);
    assert.deepEqual(await after(300, new Set(["message", "request"])), ["outstanding", "swept"]);
    assert.deepEqual(await after(500, new Error("gone")), ["outstanding"]);
    assert.deepEqual(await after(500, new Set(["log"])), ["often", "outstanding"]);
    assert.deepEqual(faults, ["look: gone", "signed: no pen"]);

    let stopped = false;
    const stopping = rounds.stop().then(() => {
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

test("nothing stays outstanding once the rounds have been made", async () => {
  const place = await deploy();
  try {
    const listPendingKinds = async () => [...(await place.server.store.listPendingKinds())].sort();
    await place.enrol("ada@example.com");
    assert.equal((await place.ask()).status, 200);
    assert.ok((await listPendingKinds()).includes("log"));
    await place.server.runJobs();
    assert.deepEqual(await listPendingKinds(), []);
    place.clock.now += 3_600_000;
    assert.ok((await listPendingKinds()).includes("request"));
    await place.server.runJobs();
    assert.deepEqual(await listPendingKinds(), []);
  } finally {
    await place.close();
  }
});
