import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import {
  acknowledged,
  failureOf,
  metadataOf,
  oauthError,
  type StandIn,
  standIn,
  testClock,
  until,
} from "../../test/stand-in.ts";
import { type Action, createAgent, type NewAsk } from "../agent.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  clock = testClock();
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const secret = "s3cret with space/+";
const newAgent = () =>
  createAgent({ issuer: stand.issuer, clientId: "refund-er", clientSecret: secret }, { clock });
const refund = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD", quantity: 2 };
const newAsk = { action: refund, approver: "owner" } as const;
const askedOf = async (agent = newAgent(), more: Partial<NewAsk<typeof refund>> = {}) => {
  const asked = await agent.ask({ ...newAsk, ...more } as NewAsk<typeof refund>);
  assert(asked.outcome === "asked");
  return asked.ask;
};

describe("ask", () => {
  test("sends one form: openid, hint, one canonical authorization detail, idempotency key", async () => {
    await newAgent().ask({
      ...newAsk,
      approver: "dana@shop.example",
      message: "Ticket 4711",
      userCode: "4711",
      lifetimeSeconds: 300,
      resource: "https://payments.example",
      idempotencyKey: "ticket-4711",
    });
    const [{ path, form, headers }] = stand.seen as [StandIn["seen"][0]];
    assert.equal(path, "/bc-authorize");
    assert.deepEqual(Object.fromEntries(form), {
      scope: "openid",
      login_hint: "dana@shop.example",
      authorization_details:
        '[{"amount":"10000.00","currency":"USD","order":"A-1001","quantity":2,"type":"refund"}]',
      binding_message: "Ticket 4711",
      user_code: "4711",
      requested_expiry: "300",
      resource: "https://payments.example",
    });
    assert.equal(headers["idempotency-key"], "ticket-4711");
    assert.equal(headers.authorization, `Basic ${btoa("refund-er:s3cret+with+space%2F%2B")}`);
  });

  test("returns plain JSON with everything that another process needs (T21)", async () => {
    const ask = await askedOf(undefined, { idempotencyKey: "ticket-4711" });
    assert.deepEqual(JSON.parse(JSON.stringify(ask)), {
      issuer: stand.issuer,
      clientId: "refund-er",
      authReqId: "req-1",
      idempotencyKey: "ticket-4711",
      action: refund,
      askedAt: clock.wall,
      expiresAt: clock.wall + 120_000,
      intervalSeconds: 5,
      joined: false,
    });
  });

  test("uses a random idempotency key by default, and returns it", async () => {
    const [one, other] = [await askedOf(), await askedOf()];
    assert.match(one.idempotencyKey, /^[0-9a-f-]{36}$/);
    assert.notEqual(one.idempotencyKey, other.idempotencyKey);
    assert.equal(one.idempotencyKey, stand.seen[0]?.headers["idempotency-key"]);
  });

  test("sets joined if the server returned an existing request", async () => {
    stand.ask = [acknowledged({ joined: true })];
    assert.equal((await askedOf()).joined, true);
  });

  test("requests a scope by its name, without authorization details", async () => {
    const asked = await newAgent().ask({ scope: "payouts.freeze", approver: "owner" });
    assert(asked.outcome === "asked");
    assert.deepEqual(asked.ask.action, { type: "payouts.freeze" });
    assert.equal(stand.seen[0]?.form.get("scope"), "openid payouts.freeze");
    assert.equal(stand.seen[0]?.form.has("authorization_details"), false);
  });

  test("returns the server's error code and description, without a retry", async () => {
    const codes = [
      "access_denied",
      "invalid_authorization_details",
      "unknown_user_id",
      "invalid_client",
      "invalid_scope",
    ];
    for (const error of codes) {
      stand.ask = [oauthError(error)];
      assert.deepEqual(await newAgent().ask(newAsk), {
        outcome: "refused",
        error,
        description: `it is ${error}`,
      });
    }
    assert.equal(stand.seen.length, codes.length);
    assert.deepEqual(clock.slept, []);
  });

  test("retries a lost connection with the same idempotency key", async () => {
    stand.ask = ["hang up", "hang up within", { status: 502, body: "<html>" }, acknowledged()];
    assert.equal((await newAgent().ask(newAsk)).outcome, "asked");
    assert.deepEqual(clock.slept, [250, 1_000, 4_000]);
    assert.equal(stand.seen.length, 4);
    assert.equal(new Set(stand.seen.map(({ headers }) => headers["idempotency-key"])).size, 1);
  });

  test("rejects after four attempts with the key and the cause, without the secret", async () => {
    stand.ask = ["hang up"];
    const error = await failureOf(newAgent().ask({ ...newAsk, idempotencyKey: "ticket-4711" }));
    assert.match(error.message, /4 attempts.*ticket-4711/);
    assert((error.cause as Error).cause instanceof TypeError);
    assert.equal(stand.seen.length, 4);
    for (let at: unknown = error; at instanceof Error; at = at.cause)
      assert(!`${at.stack}`.includes("s3cret"));
  });

  test("retries 503 and 429 after Retry-After, and finally returns a refusal", async () => {
    stand.ask = [
      oauthError("temporarily_unavailable", {}, { "retry-after": "7" }),
      { status: 429, headers: { "retry-after": "Sun, 22 Nov 2026 12:00:09 GMT" } },
      oauthError("temporarily_unavailable"),
    ];
    const refused = await newAgent().ask(newAsk);
    assert.deepEqual(refused, {
      outcome: "refused",
      error: "temporarily_unavailable",
      description: "it is temporarily_unavailable",
    });
    assert.deepEqual(clock.slept, [7_000, 2_000, 4_000]);
  });

  test("rejects a 503 after a lost connection: the request may have been received", async () => {
    stand.ask = ["hang up", { status: 503, headers: { "retry-after": "600" } }];
    assert.match(
      (await failureOf(newAgent().ask(newAsk))).message,
      /in 2 attempts; retry with idempotencyKey/,
    );
    stand.ask = ["hang up", oauthError("temporarily_unavailable")];
    assert.match((await failureOf(newAgent().ask(newAsk))).message, /in 4 attempts/);
  });

  test("does not wait for a Retry-After of more than 30 seconds", async () => {
    stand.ask = [{ status: 503, headers: { "retry-after": "600" } }];
    assert.deepEqual(await newAgent().ask(newAsk), { outcome: "refused", error: "temporarily_unavailable" });
    assert.deepEqual(clock.slept, []);
  });

  test("rejects an unusable acknowledgement", async () => {
    for (const body of [
      {},
      { auth_req_id: 7 },
      { auth_req_id: "r", expires_in: "soon" },
      "<html>",
      '{"auth_req_id":"a","auth_req_id":"b"}',
    ]) {
      stand.ask = [{ status: 200, body }];
      await assert.rejects(newAgent().ask(newAsk), /lacks auth_req_id/);
    }
    stand.ask = [acknowledged({ interval: 0 })];
    await assert.rejects(newAgent().ask(newAsk), /interval/);
    stand.ask = [{ status: 404, body: "<html>" }];
    await assert.rejects(newAgent().ask(newAsk), /returned 404 without an OAuth error/);
  });

  test("does not follow a redirect", async () => {
    stand.ask = [{ status: 307, headers: { location: "https://elsewhere.example/" } }];
    await assert.rejects(newAgent().ask(newAsk), /returned 307/);
  });

  test("rejects numbers that JSON would round, and decimals, with a remedy, before sending (T13)", async () => {
    for (const [amount, message] of [
      [
        2 ** 53,
        /^action\.amount is 9007199254740992, which JSON cannot carry exactly: write it as a string$/,
      ],
      [19.9, /^action\.amount is 19\.9: .* write a decimal as a string, "19\.9"$/],
      [Number.NaN, /^action\.amount is NaN/],
      [undefined, /^action\.amount is undefined.*leave the field out/],
      [[1, { fee: 0.5 }], /^action\.amount\[1\]\.fee is 0\.5/],
      [new Date(), /\$\[0\]\.amount is not JSON/],
      ["\ud800", /lone surrogate/],
    ] as const)
      await assert.rejects(newAgent().ask({ ...newAsk, action: { type: "refund", amount } as never }), {
        code: "ERR_INVALID_ARGUMENT",
        message,
      });
    assert.equal(stand.seen.length, 0);
  });

  test("rejects an idempotency key that a header cannot contain, before sending", async () => {
    for (const idempotencyKey of ["", "two words", "ümlaut", "a\nb", "x".repeat(256)])
      await assert.rejects(newAgent().ask({ ...newAsk, idempotencyKey }), /visible ASCII/);
  });

  test("rejects with ERR_ABORTED on abort before, during and between attempts", async () => {
    const reason = new Error("the conversation ended");
    await assert.rejects(newAgent().ask(newAsk, { signal: AbortSignal.abort(reason) }), {
      code: "ERR_ABORTED",
      cause: reason,
    });
    assert.equal(stand.seen.length, 0);

    stand.ask = ["never"];
    const during = new AbortController();
    const asking = newAgent().ask(newAsk, { signal: during.signal });
    await until(() => stand.seen.length > 0);
    during.abort(reason);
    await assert.rejects(asking, { code: "ERR_ABORTED", cause: reason });

    stand.ask = ["hang up"];
    const between = new AbortController();
    const { sleep } = clock;
    clock.sleep = (milliseconds, signal) => {
      between.abort(reason);
      return sleep(milliseconds, signal);
    };
    await assert.rejects(newAgent().ask(newAsk, { signal: between.signal }), {
      code: "ERR_ABORTED",
      cause: reason,
    });
    assert.equal(stand.seen.length, 2);
  });
});

// Type checks only: this code does not run.
export function typesHold(agent: ReturnType<typeof createAgent>) {
  // @ts-expect-error the approver is required
  agent.ask({ action: { type: "refund" } });
  // @ts-expect-error an action requires a type
  agent.ask({ action: { order: "A-1001" }, approver: "owner" });
  // @ts-expect-error an action is required
  agent.ask({ approver: "owner" });
  // @ts-expect-error action and scope exclude each other
  agent.ask({ action: { type: "refund" }, scope: "payouts.freeze", approver: "owner" });
  // @ts-expect-error undefined is not JSON
  agent.ask({ action: { type: "refund", order: undefined }, approver: "owner" });
  const loose: Action = { type: "refund", lines: [{ sku: "a", pieces: 1 }] };
  agent.ask({ action: loose, approver: "dana@shop.example" });
}
