import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import {
  acknowledged,
  approved,
  handClock,
  metadataOf,
  oauthError,
  pending,
  type Reply,
  type StandIn,
  standIn,
  until,
} from "../../test/stand-in.ts";
import { type Agent, type Ask, type CallbackOptions, createAgent, type Outcome } from "../agent.ts";

let stand: StandIn;
let clock: ReturnType<typeof handClock>;
let agent: Agent;
let yes: Reply;
const action = { type: "refund", order: "A-1001" };
const newAsk = { action, approver: "owner", idempotencyKey: "ticket-4711" } as const;
const newAgent = (callback: CallbackOptions = {}) =>
  createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" }, { clock, callback });

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = handClock();
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.token = [pending];
  yes = await approved(stand, action);
  agent = newAgent();
});

async function askAs(asker = agent): Promise<Ask> {
  const asked = await asker.ask(newAsk);
  assert(asked.outcome === "asked");
  return asked.ask;
}
const token = () =>
  stand.seen.findLast(({ path }) => path === "/bc-authorize")?.form.get("client_notification_token");
async function ping(to = agent, body: object = { auth_req_id: "req-1" }): Promise<number> {
  const headers = { authorization: `Bearer ${token()}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  return (await to.receive(new Request("https://agent.example/callback", init))).status;
}
const polls = () => stand.seen.filter(({ path }) => path === "/oauth/token");
const asleep = () => until(() => clock.asleep().length > 0);
const isSettled = (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise((resolve) => setImmediate(resolve, false))]);

describe("ping", () => {
  test("ends the wait at once, with one token request that is not a long poll", async () => {
    const waiting = agent.wait(await askAs());
    await asleep();
    assert.deepEqual([clock.asleep(), polls().length], [[30_000], 0]);
    stand.token = [yes];
    assert.equal(await ping(), 204);
    const outcome = await waiting;
    assert.equal(outcome.outcome, "approved");
    assert.equal(clock.passed, 0);
    assert.deepEqual(
      polls().map(({ headers }) => headers.prefer),
      [undefined],
    );
    assert.deepEqual(clock.asleep(), []);
  });

  test("returns denied and expired from the token endpoint as well (T26)", async () => {
    for (const [error, expected] of [
      ["access_denied", "denied"],
      ["expired_token", "expired"],
    ] as const) {
      agent = newAgent();
      const waiting = agent.wait(await askAs());
      await asleep();
      stand.token = [oauthError(error)];
      // Other members of the body are ignored: an unrequested token is never used.
      await ping(agent, { auth_req_id: "req-1", access_token: "x", error: "x" });
      assert.equal((await waiting).outcome, expected);
    }
  });

  test("waits on after an early ping, and counts the next one again", async () => {
    const waiting = agent.wait(await askAs());
    await asleep();
    await ping();
    await until(() => polls().length === 1);
    await asleep();
    assert.deepEqual([clock.asleep(), await isSettled(waiting)], [[30_000], false]);
    stand.token = [yes];
    await ping();
    assert.equal((await waiting).outcome, "approved");
    assert.equal(polls().length, 2);
  });

  test("keeps a ping that arrives before the response to the request, or before a waiter", async () => {
    const early: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      if (`${url}`.endsWith("/bc-authorize")) assert.equal(await ping(hasty), 204);
      return response;
    };
    const hasty = createAgent(
      { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
      { clock, callback: {}, fetch: early },
    );
    stand.token = [yes];
    assert.equal((await hasty.wait(await askAs(hasty))).outcome, "approved");
    const ask = await askAs();
    await ping();
    assert.equal((await agent.wait(ask)).outcome, "approved");
    assert.equal(
      (await agent.wait(ask)).outcome,
      "approved",
      "the server's answer counts, also when asked again",
    );
    assert.equal(clock.passed, 0);
  });

  test("applies a ping that arrives during a token request after that request", async () => {
    const ask = await askAs();
    let answer = (_: Response) => {};
    const slow: typeof fetch = (url, init) =>
      `${url}`.endsWith("/oauth/token") && polls().length === 0
        ? fetch(url, init).then(() => new Promise((resolve) => (answer = resolve)))
        : fetch(url, init);
    const patient = createAgent(
      { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
      { clock, callback: {}, fetch: slow },
    );
    const waiting = patient.wait(ask);
    await until(() => polls().length === 1);
    await ping(patient);
    stand.token = [yes];
    answer(Response.json({ error: "authorization_pending" }, { status: 400 }));
    assert.equal((await waiting).outcome, "approved");
    assert.equal(clock.passed, 0);
  });

  test("polls every 30 seconds and shortly before the expiry if a ping was lost (T23)", async () => {
    const waiting = agent.wait(await askAs());
    const slept = [];
    for (let poll = 1; poll <= 5; poll += 1) {
      await asleep();
      slept.push(...clock.asleep());
      if (poll === 5) stand.token = [yes];
      clock.pass(clock.asleep()[0]!);
      await until(() => polls().length === poll);
    }
    assert.equal((await waiting).outcome, "approved");
    assert.deepEqual(slept, [30_000, 30_000, 30_000, 27_000, 5_000]);
  });

  test("repeats a token request that fails after a ping at the interval", async () => {
    const waiting = agent.wait(await askAs());
    await asleep();
    stand.token = ["hang up", { status: 503 }, yes];
    await ping();
    for (const poll of [1, 2]) {
      await until(() => polls().length === poll);
      await asleep();
      assert.deepEqual(clock.asleep(), [5_000]);
      clock.pass(5_000);
    }
    assert.equal((await waiting).outcome, "approved");
  });

  test("polls a request of another process, or a joined one, at once: its ping may be past (T21)", async () => {
    const ask = await askAs();
    stand.token = [yes];
    assert.equal((await newAgent().wait(JSON.parse(JSON.stringify(ask)))).outcome, "approved");
    stand.ask = [acknowledged({ joined: true })];
    assert.equal((await agent.wait(await askAs())).outcome, "approved");
    assert.equal(clock.passed, 0);
  });

  test("ends the wait on abort, also with a clock whose sleep ignores signals", async () => {
    const reason = new Error("shutting down");
    const abort = new AbortController();
    const waiting = agent.wait(await askAs(), { signal: abort.signal });
    await asleep();
    abort.abort(reason);
    await assert.rejects(waiting, { code: "ERR_ABORTED", cause: reason });

    const deaf = { ...clock, sleep: () => new Promise<void>(() => {}) };
    const credentials = { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" };
    const durable = createAgent(credentials, { clock: deaf, callback: {} });
    const heard = durable.wait(await askAs(durable));
    stand.token = [yes];
    await ping(durable);
    assert.equal((await heard).outcome, "approved");
  });

  test("wakes countersigned with and without a store, and run is called once", async () => {
    const store = new Map<string, Ask>();
    let ready = 0;
    const onReady = () => (ready += 1);
    const storing = newAgent({ store, onReady });
    let runs = 0;
    const run = () => (runs += 1);
    for (const [asker, countersigned] of [
      [agent, () => agent.countersigned(newAsk, run)],
      [storing, () => storing.countersigned(newAsk, run, { store })],
    ] as const) {
      stand.token = [pending];
      const done = countersigned();
      await asleep();
      stand.token = [yes];
      assert.equal(await ping(asker), 204);
      assert.deepEqual(await done, { outcome: "approved", result: runs });
      assert.equal(store.size, 0);
      assert.equal(await ping(asker), 204, "a repeated ping does no harm");
    }
    assert.equal(ready, 0, "a waiter receives it");
    assert.equal(runs, 2);
  });

  test("passes a ping that arrives while countersigned stores the request to it, not to onReady", async () => {
    const store = new Map<string, Ask>();
    const slow = {
      get: (key: string) => store.get(key),
      async set(key: string, ask: Ask) {
        store.set(key, ask);
        assert.equal(await ping(asker), 204);
      },
      delete: (key: string) => store.delete(key),
    };
    let ready = 0;
    const asker = newAgent({ store: slow, onReady: () => (ready += 1) });
    stand.token = [yes];
    const done = await asker.countersigned(newAsk, () => "refunded", { store: slow });
    assert.deepEqual(done, { outcome: "approved", result: "refunded" });
    assert.equal(ready, 0, "a waiter receives it");
    assert.equal(clock.passed, 0);
  });

  test("calls countersigned with the same key in another process for a stored request (T21)", async () => {
    const store = new Map<string, Ask>();
    const killed = new AbortController();
    const first = agent.countersigned(newAsk, () => assert.fail(), { store, signal: killed.signal });
    await asleep();
    killed.abort(new Error("killed"));
    await assert.rejects(first, { code: "ERR_ABORTED", cause: new Error("killed") });

    stand.token = [yes];
    const outcome = new Promise<Outcome | { outcome: string }>((resolve) => {
      const second = newAgent({
        store,
        onReady: ({ idempotencyKey }) =>
          second.countersigned({ ...newAsk, idempotencyKey }, () => "refunded", { store }).then(resolve),
      });
      ping(second);
    });
    assert.deepEqual(await outcome, { outcome: "approved", result: "refunded" });
    assert.equal(stand.seen.filter(({ path }) => path === "/bc-authorize").length, 1);
  });

  test("rejects a server without ping before an approver is notified", async () => {
    const { backchannel_token_delivery_modes_supported: _, ...body } = metadataOf(stand.issuer);
    stand.metadata = [{ status: 200, body }];
    await assert.rejects(newAgent().ask(newAsk), /does not support delivery mode ping/);
    assert.equal(stand.seen.length, 0);
    stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
  });
});
