import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  abandon,
  type Callback,
  findPushFault,
  getDeliveryResult,
  lease,
  leaseMs,
  newCallback,
  queue,
  replaceToken,
  scheduleRetry,
} from "./callback.ts";

const now = Date.UTC(2026, 0, 15, 12);
const idle = newCallback({ id: "req_1", agent: "agent_1", mode: "push", sealedToken: "old" }, now);
const queued = queue(idle, now)!;
const leased = lease(queued, now)!;
const abandoned = abandon({ ...leased, sealedBody: "sealed" }, "broken", now);
const states: { readonly [state: string]: Callback } = { idle, queued, leased, abandoned };

describe("callback", () => {
  test("moves each state by each event as in the table", () => {
    const table = Object.entries(states).map(([state, callback]) => [
      state,
      queue(callback, now)?.state,
      lease(callback, now)?.attempts,
      replaceToken(callback, { ...idle, sealedToken: "new" }, false, now).state,
      replaceToken(callback, { ...idle, sealedToken: "new" }, true, now).state,
    ]);
    assert.deepEqual(table, [
      // queue, lease, replaceToken before the decision, replaceToken after it
      ["idle", "queued", undefined, "idle", "idle"],
      ["queued", undefined, 1, "queued", "queued"],
      ["leased", undefined, undefined, "queued", "queued"],
      ["abandoned", undefined, undefined, "idle", "queued"],
    ]);
  });

  test("replaceToken keeps the newest token and does not shorten a lease", () => {
    for (const [state, callback] of Object.entries(states)) {
      const again = replaceToken(callback, { ...idle, sealedToken: "new" }, true, now);
      assert.equal(again.sealedToken, "new", state);
    }
    assert.equal(replaceToken(leased, { ...idle, sealedToken: "new" }, true, now).dueAt, leased.dueAt);
    assert.deepEqual(replaceToken(undefined, idle, false, now), idle);
    assert.deepEqual(replaceToken(undefined, idle, true, now), queued);
  });

  test("leases again only once the lease has expired", () => {
    assert.equal(lease(leased, now + leaseMs - 1), undefined);
    assert.equal(lease(leased, now + leaseMs)?.attempts, 2);
  });

  test("retries with growing delays; abandon removes the body", () => {
    let callback = leased;
    const gaps: number[] = [];
    for (
      let later = scheduleRetry(callback, "busy", now);
      later;
      later = scheduleRetry(callback, "busy", now)
    ) {
      gaps.push(later.dueAt - now);
      callback = lease(later, later.dueAt)!;
    }
    assert.deepEqual(gaps, [1_000, 5_000, 20_000, 60_000, 300_000]);
    assert.deepEqual(
      [abandoned.state, abandoned.sealedBody, abandoned.lastError],
      ["abandoned", undefined, "broken"],
    );
  });

  test("schedules no retry if the pushed token would have less than five seconds left (T20)", () => {
    const token = { hash: "h", jti: "tok_1", expiresAt: now + 6_000 };
    assert.equal(scheduleRetry({ ...leased, token }, "busy", now)?.dueAt, now + 1_000);
    assert.equal(
      scheduleRetry({ ...leased, token: { ...token, expiresAt: now + 5_999 } }, "busy", now),
      undefined,
    );
  });

  test("getDeliveryResult classifies HTTP statuses", () => {
    for (const status of [200, 204, 202]) assert.equal(getDeliveryResult(status), "accepted", String(status));
    for (const status of [429, 500, 502, 503])
      assert.equal(getDeliveryResult(status), "retry", String(status));
    for (const status of [101, 301, 302, 307, 400, 401, 403, 404, 410])
      assert.equal(getDeliveryResult(status), "rejected", String(status));
  });

  test("findPushFault refuses key-bound tokens and irreversible actions (T39)", () => {
    const reversible = { type: "promote", reversibility: "reversible" } as const;
    const external = { type: "order", reversibility: "external" } as const;
    const irreversible = { type: "refund", reversibility: "irreversible" } as const;
    assert.equal(findPushFault({}, [reversible, external]), undefined);
    assert.match(findPushFault({}, [reversible, irreversible]) ?? "", /refund/);
    assert.match(findPushFault({ binding: "mtls" }, [reversible]) ?? "", /bound/);
  });
});
