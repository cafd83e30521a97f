import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { machineClock } from "./clock.ts";

describe("machineClock.sleep", () => {
  test("resolves after the given time", async () => {
    const before = machineClock.elapsed();
    await machineClock.sleep(20);
    assert(machineClock.elapsed() - before >= 19);
  });

  test("rejects with the signal's reason, before and during the sleep", async () => {
    const reason = new Error("shutting down");
    await assert.rejects(machineClock.sleep(0, AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const sleeping = machineClock.sleep(Number.POSITIVE_INFINITY, controller.signal);
    controller.abort(reason);
    await assert.rejects(sleeping, reason);
  });
});
