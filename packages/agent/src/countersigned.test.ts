import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import {
  accessToken,
  acknowledged,
  approved,
  oauthError,
  pending,
  type StandIn,
  standIn,
  testClock,
  until,
} from "../test/stand-in.ts";
import { type Agent, type Ask, type AskStore, createAgent } from "./agent.ts";

let stand: StandIn;
let agent: Agent;
let store: Map<string, Ask>;
const action = { type: "refund", order: "A-1001", amount: "10000.00", note: "they were kind" };
const { note: _, ...granted } = action;
const newAsk = { action, approver: "owner", idempotencyKey: "ticket-4711" } as const;
const newAgent = () =>
  createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" }, { clock: testClock() });
const never = () => assert.fail("must not run");
const asks = () => stand.seen.filter(({ path }) => path === "/bc-authorize").length;

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.token = [pending];
  store = new Map();
  agent = newAgent();
});

describe("countersigned", () => {
  test("calls run once with the granted action and the token, and returns its result", async () => {
    stand.token = [pending, await approved(stand, granted)];
    const runs: unknown[] = [];
    const outcome = await agent.countersigned(newAsk, async (action, token) => {
      runs.push([action, token]);
      return { refunded: action.amount };
    });
    assert.deepEqual(outcome, { outcome: "approved", result: { refunded: "10000.00" } });
    assert.deepEqual(runs, [[granted, accessToken]]);
  });

  test("passes run the granted action, not the requested one (T9)", async () => {
    stand.token = [await approved(stand, { ...granted, amount: "400.00" })];
    const outcome = await agent.countersigned(newAsk, ({ amount }) => amount);
    assert.deepEqual(outcome, { outcome: "approved", result: "400.00" });
  });

  test("returns denied, expired, lost and refused unchanged, without calling run (T26)", async () => {
    for (const [reply, outcome] of [
      [oauthError("access_denied", { denial_reason: "no" }), { outcome: "denied", reason: "no" }],
      [oauthError("expired_token"), { outcome: "expired" }],
      [oauthError("invalid_grant"), { outcome: "lost" }],
    ] as const) {
      stand.token = [reply];
      assert.deepEqual(await agent.countersigned(newAsk, never, { store }), outcome);
      assert.equal(store.size, 0);
    }
    assert.equal(asks(), 3);
    stand.ask = [oauthError("access_denied")];
    assert.equal((await agent.countersigned(newAsk, never)).outcome, "refused");
    assert.equal(asks(), 4);
  });

  test("resumes the stored request after a kill while waiting, without a second request (T21)", async () => {
    const killed = new AbortController();
    stand.token = ["never"];
    const first = agent.countersigned(newAsk, never, { store, signal: killed.signal });
    await until(() => stand.seen.length >= 2);
    killed.abort(new Error("killed"));
    await assert.rejects(first, { code: "ERR_ABORTED", cause: new Error("killed") });
    assert.equal(store.get("ticket-4711")?.authReqId, "req-1");

    stand.token = [await approved(stand, granted)];
    store = new Map(JSON.parse(JSON.stringify([...store])));
    assert.equal((await newAgent().countersigned(newAsk, () => 1, { store })).outcome, "approved");
    assert.equal(asks(), 1);
    assert.equal(store.size, 0);
  });

  test("returns lost after a kill during run, and runs nothing again (T21)", {
    timeout: 60_000,
  }, async () => {
    stand.token = [await approved(stand, granted), oauthError("invalid_grant")];
    let running = () => {};
    const started = new Promise<void>((resolve) => {
      running = resolve;
    });
    void agent.countersigned(newAsk, () => new Promise(running), { store });
    await started;
    assert.deepEqual(await newAgent().countersigned(newAsk, never, { store }), { outcome: "lost" });
    assert.equal(asks(), 1);
  });

  test("rejects if the store cannot be written; ignores an error of delete", async () => {
    const full: AskStore = {
      get: () => null,
      set: () => Promise.reject(new Error("disk full")),
      delete: () => {},
    };
    await assert.rejects(agent.countersigned(newAsk, never, { store: full }), /disk full/);
    const sticky: AskStore = {
      get: () => null,
      set: () => {},
      delete: () => Promise.reject(new Error("read only")),
    };
    stand.token = [await approved(stand, granted)];
    assert.deepEqual(await agent.countersigned(newAsk, () => 1, { store: sticky }), {
      outcome: "approved",
      result: 1,
    });
  });

  test("rejects an idempotency key that the store has for another action", async () => {
    store.set("ticket-4711", { action: { ...action, amount: "1.00" } } as never);
    await assert.rejects(agent.countersigned(newAsk, never, { store }), /used for another action/);
    assert.equal(stand.seen.length, 0);
  });

  test("rejects with the error of run, and does not retry the approval", async () => {
    stand.token = [await approved(stand, granted)];
    const failure = new Error("the payment API is down");
    await assert.rejects(
      agent.countersigned(newAsk, () => Promise.reject(failure), { store }),
      failure,
    );
    assert.equal(store.size, 0);
    assert.equal(stand.seen.length, 2);
  });

  test("does not call run after the signal is aborted, not even for an approved action", async () => {
    const controller = new AbortController();
    const late: typeof fetch = async (url, init) => {
      const response = await fetch(url, { ...init, signal: null });
      if (`${url}`.endsWith("/oauth/token")) controller.abort(new Error("too late"));
      return response;
    };
    stand.token = [await approved(stand, granted)];
    const hasty = createAgent(
      { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
      { clock: testClock(), fetch: late },
    );
    await assert.rejects(hasty.countersigned(newAsk, never, { signal: controller.signal }), {
      code: "ERR_ABORTED",
      cause: new Error("too late"),
    });
  });

  test("rejects a store without an idempotency key", async () => {
    const { idempotencyKey: _, ...keyless } = newAsk;
    // @ts-expect-error the key is required with a store
    await assert.rejects(agent.countersigned(keyless, never, { store }), /idempotencyKey is required/);
  });
});

// Type checks only: this code does not run.
export function typesHold() {
  return agent.countersigned({ action, approver: "owner" }, ({ type, amount, order }, token) => {
    const known: [string, string | undefined, string | undefined, string] = [type, amount, order, token];
    // @ts-expect-error this field was not requested
    known.push(amount, order.fee);
  });
}
