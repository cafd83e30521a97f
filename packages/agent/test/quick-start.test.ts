import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, mock, test } from "node:test";
import { accessToken, acknowledged, approved, oauthError, type StandIn, standIn, until } from "./stand-in.ts";

const granted = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD" };
let stand: StandIn;
let samples: typeof import("./quick-start.ts");
let kept: typeof import("./quick-start-store.ts");
const calls: [string, object][] = [];

before(async () => {
  stand = await standIn();
  process.env.COUNTERSIGN_ISSUER = stand.issuer;
  process.env.COUNTERSIGN_CLIENT_ID = "refunder";
  process.env.COUNTERSIGN_CLIENT_SECRET = "s3cret";
  process.env.PAYMENTS_URL = "https://payments.example";
  samples = await import("./quick-start.ts");
  kept = await import("./quick-start-store.ts");
  const network = globalThis.fetch;
  mock.method(globalThis, "fetch", async (url: string, init: RequestInit) => {
    if (!url.startsWith("https://payments.example")) return network(url, init);
    calls.push([new Headers(init.headers).get("authorization")!, JSON.parse(`${init.body}`)]);
    return new Response("refunded");
  });
});
after(() => stand.close());
beforeEach(() => {
  calls.length = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => mock.timers.reset());

/** Lets the mocked time pass until the promise is settled. */
async function passing<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  await until(() => {
    mock.timers.tick(1_000);
    return settled;
  });
  return promise;
}

test("the first sample asks, waits, and calls the API with the granted action and its token", async () => {
  stand.token = [oauthError("authorization_pending"), await approved(stand, granted)];
  assert.equal(await passing(samples.refund("A-1001", "10000.00")), "done: refunded");
  assert.deepEqual(calls, [[`Bearer ${accessToken}`, granted]]);
});

test("the first sample has a word for each of the other endings", async () => {
  for (const [error, words] of [
    ["access_denied", "a person said no: too much"],
    ["expired_token", "nobody decided in time"],
    ["unauthorized_client", "the rules do not allow it: unauthorized_client"],
    [
      "invalid_grant",
      "approved, but the token was lost on the way: look whether it was done, then ask again",
    ],
  ] as const) {
    stand.token = [oauthError(error, { denial_reason: "too much" })];
    assert.equal(await passing(samples.refund("A-1001", "10000.00")), words);
  }
  assert.deepEqual(calls, []);
});

test("T21: the second sample takes a kept ask up again", async () => {
  stand.token = [await approved(stand, granted)];
  const store = new Map();
  const first = kept.refundForTicket("4711", "A-1001", "10000.00", store);
  await until(() => store.size > 0);
  assert.equal([...store.keys()][0], "refund-4711");
  assert.equal((await passing(first)).outcome, "approved");
  assert.equal(store.size, 0);
});

test("T21: the third sample asks in one place and finishes in another", async () => {
  stand.ask = [acknowledged()];
  stand.token = [await approved(stand, granted)];
  const { signal } = new AbortController();
  const saved = await samples.askNow("A-1001", "10000.00", signal);
  assert.equal(stand.seen.at(-1)?.form.get("login_hint"), "dana@shop.example");
  assert.equal(await passing(samples.finishLater(saved, signal)), "refunded");

  stand.token = [oauthError("access_denied")];
  assert.equal(await passing(samples.finishLater(saved, signal)), "denied");
  stand.ask = [oauthError("access_denied")];
  await assert.rejects(samples.askNow("A-1001", "10000.00", signal), /nobody was asked: it is access_denied/);
});
