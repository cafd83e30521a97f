import assert from "node:assert/strict";
import { test } from "node:test";
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
const givenUp = abandon({ ...leased, sealedBody: "sealed" }, "broken", now);
const states: { readonly [state: string]: Callback } = { idle, queued, leased, givenUp };

test("what each event makes of each state", () => {
  const table = Object.entries(states).map(([state, callback]) => [
    state,
    queue(callback, now)?.state,
    lease(callback, now)?.attempts,
    replaceToken(callback, { ...idle, sealedToken: "new" }, false, now).state,
    replaceToken(callback, { ...idle, sealedToken: "new" }, true, now).state,
  ]);
  assert.deepEqual(table, [
    // announced, leased, asked again before there is an answer, and after
    ["idle", "queued", undefined, "idle", "idle"],
    ["queued", undefined, 1, "queued", "queued"],
    ["leased", undefined, undefined, "queued", "queued"],
    ["givenUp", undefined, undefined, "idle", "queued"],
  ]);
});

test("the newest token counts, and a lease is not shortened by it", () => {
  for (const [state, callback] of Object.entries(states)) {
    const again = replaceToken(callback, { ...idle, sealedToken: "new" }, true, now);
    assert.equal(again.sealedToken, "new", state);
  }
  assert.equal(replaceToken(leased, { ...idle, sealedToken: "new" }, true, now).dueAt, leased.dueAt);
  assert.deepEqual(replaceToken(undefined, idle, false, now), idle);
  assert.deepEqual(replaceToken(undefined, idle, true, now), queued);
});

test("a lease can be taken again when it has run out, and not before", () => {
  assert.equal(lease(leased, now + leaseMs - 1), undefined);
  assert.equal(lease(leased, now + leaseMs)?.attempts, 2);
});

test("attempts end, with the body and what was in it", () => {
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
    [givenUp.state, givenUp.sealedBody, givenUp.lastError],
    ["abandoned", undefined, "broken"],
  );
});

test("T20: a token is not sent again when it would arrive with less than five seconds left", () => {
  const token = { hash: "h", jti: "tok_1", expiresAt: now + 6_000 };
  assert.equal(scheduleRetry({ ...leased, token }, "busy", now)?.dueAt, now + 1_000);
  assert.equal(
    scheduleRetry({ ...leased, token: { ...token, expiresAt: now + 5_999 } }, "busy", now),
    undefined,
  );
});

test("what statuses mean", () => {
  for (const status of [200, 204, 202]) assert.equal(getDeliveryResult(status), "accepted", String(status));
  for (const status of [429, 500, 502, 503]) assert.equal(getDeliveryResult(status), "retry", String(status));
  for (const status of [101, 301, 302, 307, 400, 401, 403, 404, 410])
    assert.equal(getDeliveryResult(status), "rejected", String(status));
});

test("T39: what is bound to a key, or cannot be taken back, is not pushed", () => {
  const mild = { type: "promote", reversibility: "reversible" } as const;
  const outside = { type: "order", reversibility: "external" } as const;
  const grave = { type: "refund", reversibility: "irreversible" } as const;
  assert.equal(findPushFault({}, [mild, outside]), undefined);
  assert.match(findPushFault({}, [mild, grave]) ?? "", /refund/);
  assert.match(findPushFault({ binding: "mtls" }, [mild]) ?? "", /bound/);
});
