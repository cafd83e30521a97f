import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { machineClock } from "@countersign/protocol/client";
import {
  approved,
  failureOf,
  oauthError,
  pending,
  type StandIn,
  standIn,
  testClock,
} from "../../test/stand-in.ts";
import { type Agent, type Ask, createAgent } from "../agent.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
let agent: Agent;
let ask: Ask;
const action = { type: "refund", order: "A-1001" };
const credentials = () => ({ issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" });

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = testClock();
  agent = createAgent(credentials(), { clock, longPollSeconds: 0 });
  const asked = await agent.ask({ action, approver: "owner" });
  assert(asked.outcome === "asked");
  ask = asked.ask;
  stand.seen.length = 0;
});

describe("wait", () => {
  test("polls a new request after one interval, and then at the interval, until it is decided", async () => {
    stand.token = [pending, pending, await approved(stand, action)];
    assert.equal((await agent.wait(ask)).outcome, "approved");
    assert.deepEqual(clock.slept, [5_000, 5_000, 5_000]);
    assert.equal(stand.seen.length, 3);
  });

  test("polls a stored request of another process at once (T21)", async () => {
    const saved = JSON.stringify(ask);
    clock.wall += 60_000;
    stand.token = [await approved(stand, action)];
    const outcome = await createAgent(credentials(), { clock }).wait(JSON.parse(saved));
    assert(outcome.outcome === "approved");
    assert.deepEqual(outcome.action, action);
    assert.deepEqual(clock.slept, [0]);
  });

  test("adds five seconds to this and all later intervals for each slow_down (T40)", async () => {
    stand.token = [
      oauthError("slow_down"),
      pending,
      oauthError("slow_down"),
      pending,
      oauthError("access_denied"),
    ];
    await agent.wait(ask);
    assert.deepEqual(clock.slept, [5_000, 10_000, 10_000, 15_000, 15_000]);
  });

  test("applies Retry-After to 400, 429 and 503, and never shortens the interval", async () => {
    stand.token = [
      oauthError("authorization_pending", {}, { "retry-after": "12" }),
      { status: 429, headers: { "retry-after": "20" } },
      { status: 503, headers: { "retry-after": "1" } },
      oauthError("temporarily_unavailable", {}, { "retry-after": "Sun, 22 Nov 2026 12:01:00 GMT" }),
      oauthError("expired_token"),
    ];
    assert.deepEqual(await agent.wait(ask), { outcome: "expired" });
    assert.deepEqual(clock.slept, [5_000, 12_000, 20_000, 5_000, 18_000]);
  });

  test("returns denied and expired as different final outcomes (T26)", async () => {
    for (const [error, outcome] of [
      ["access_denied", "denied"],
      ["expired_token", "expired"],
    ] as const) {
      stand.seen.length = 0;
      stand.token = [pending, oauthError(error)];
      assert.equal((await agent.wait(ask)).outcome, outcome);
      assert.deepEqual(
        stand.seen.map(({ path }) => path),
        ["/oauth/token", "/oauth/token"],
      );
    }
  });

  test("retries after a lost connection while the request is pending", async () => {
    stand.token = [
      "hang up",
      { status: 504, body: "<html>" },
      pending,
      "hang up within",
      await approved(stand, action),
    ];
    assert.equal((await agent.wait(ask)).outcome, "approved");
  });

  test("returns lost if the connection is lost during the grant, without a request more (T20)", async () => {
    stand.token = [pending, "hang up within", oauthError("invalid_grant")];
    assert.deepEqual(await agent.wait(ask), { outcome: "lost" });
    assert(stand.seen.every(({ path }) => path === "/oauth/token"));
  });

  test("returns lost for a request that was redeemed before a crash (T21)", async () => {
    stand.token = [oauthError("invalid_grant")];
    assert.deepEqual(await agent.wait(JSON.parse(JSON.stringify(ask))), { outcome: "lost" });
  });

  test("leaves the expiry to the server, whatever the local clock shows (T22)", async () => {
    clock.wall += 24 * 3_600_000;
    stand.token = [...Array(30).fill(pending), await approved(stand, action)];
    assert.equal((await agent.wait(ask)).outcome, "approved");

    clock = testClock();
    clock.wall = ask.askedAt - 24 * 3_600_000;
    agent = createAgent(credentials(), { clock, longPollSeconds: 0 });
    stand.token = [pending, oauthError("expired_token")];
    assert.deepEqual(await agent.wait(ask), { outcome: "expired" });
    assert.deepEqual(clock.slept, [5_000, 5_000]);
  });

  test("ignores changes of the local clock while waiting", async () => {
    const { sleep } = clock;
    clock.sleep = async (milliseconds) => {
      await sleep(milliseconds);
      clock.wall += 30 * 24 * 3_600_000;
    };
    stand.token = ["hang up", "hang up", "hang up", await approved(stand, action)];
    assert.equal((await agent.wait(ask)).outcome, "approved");
    assert.deepEqual(clock.slept, [5_000, 5_000, 5_000, 5_000]);
  });

  test("rejects with ERR_TIMEOUT a minute after the expiry, and can be called again", async () => {
    stand.token = ["hang up"];
    const error = await failureOf(agent.wait(ask));
    assert.match(error.message, /call wait again later/);
    assert(error.cause instanceof Error);
    assert.equal(clock.passed, 185_000);

    stand.token = [{ status: 503 }];
    await assert.rejects(agent.wait(ask), /call wait again later/);
    stand.token = [oauthError("expired_token")];
    assert.deepEqual(await agent.wait(ask), { outcome: "expired" });
  });

  /** Simulates a server whose long polls last the given milliseconds. */
  function holding(...held: (number | "cut")[]): typeof fetch {
    return async (url, init) => {
      if (init?.method !== "POST") return fetch(url, init);
      const answer = fetch(url, init);
      const pause = held.shift() ?? 0;
      if (pause === "cut") return answer.then(() => Promise.reject(new TypeError("cut")));
      clock.passed += pause;
      clock.wall += pause;
      return answer;
    };
  }
  const appliedPending = oauthError("authorization_pending", {}, { "preference-applied": "wait=25" });
  const preferences = () => stand.seen.map(({ headers }) => headers.prefer);

  test("sends long polls from the first request on, without a gap after one of an interval", async () => {
    stand.token = [appliedPending, appliedPending, await approved(stand, action)];
    agent = createAgent(credentials(), { clock, fetch: holding(25_000, 2_000, 900) });
    assert.equal((await agent.wait(ask)).outcome, "approved");
    assert.deepEqual(clock.slept, [0, 0, 3_000]);
    assert.deepEqual(preferences(), ["wait=25", "wait=25", "wait=25"]);
  });

  test("polls a server without long polling at its interval, also if it is slow", async () => {
    stand.token = [pending, pending, await approved(stand, action)];
    agent = createAgent(credentials(), { clock, fetch: holding(10, 20_000) });
    await agent.wait(ask);
    assert.deepEqual(clock.slept, [0, 5_000, 5_000]);
  });

  test("sends no more long polls after one was cut (T20)", async () => {
    stand.token = [pending, pending, await approved(stand, action)];
    agent = createAgent(credentials(), { clock, fetch: holding("cut") });
    await agent.wait(ask);
    assert.deepEqual(preferences(), ["wait=25", undefined, undefined]);
    assert.deepEqual(clock.slept, [0, 5_000, 5_000]);
  });

  test("applies slow_down and Retry-After to long polls as well (T40)", async () => {
    const applied = { "preference-applied": "wait=25" };
    stand.token = [
      oauthError("slow_down", {}, applied),
      oauthError("authorization_pending", {}, { ...applied, "retry-after": "7" }),
      await approved(stand, action),
    ];
    agent = createAgent(credentials(), { clock, fetch: holding(0, 25_000) });
    await agent.wait(ask);
    assert.deepEqual(clock.slept, [0, 10_000, 7_000]);
  });

  test("sends no long poll with longPollSeconds: 0; redeem never sends one", async () => {
    stand.token = [pending, await approved(stand, action)];
    await createAgent(credentials(), { clock }).redeem(ask);
    await agent.wait(ask);
    assert.deepEqual(preferences(), [undefined, undefined]);
    for (const longPollSeconds of [-1, 0.5, 61])
      assert.throws(() => createAgent(credentials(), { longPollSeconds }), /longPollSeconds/);
  });

  test("rejects at once with ERR_ABORTED on abort, and cancels nothing", async () => {
    const reason = new Error("shutting down");
    const controller = new AbortController();
    const waiting = createAgent(credentials()).wait(
      { ...ask, askedAt: Date.now() },
      { signal: controller.signal },
    );
    controller.abort(reason);
    await assert.rejects(waiting, { code: "ERR_ABORTED", cause: reason });
    await assert.rejects(machineClock.sleep(60_000, AbortSignal.abort(reason)), reason);
    assert.equal(stand.seen.length, 0);
  });
});
