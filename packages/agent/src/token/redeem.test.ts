import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { inspect } from "node:util";
import {
  accessToken,
  approved,
  failureOf,
  idToken,
  oauthError,
  pending,
  type StandIn,
  standIn,
  testClock,
  until,
} from "../../test/stand-in.ts";
import { type Agent, type Ask, createAgent } from "../agent.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
let agent: Agent;
const refund = { type: "refund", order: "A-1001", amount: "10000.00", note: "they were kind" };
const { note: _, ...granted } = refund;
let ask: Ask<typeof refund>;

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = testClock();
  stand.seen.length = 0;
  agent = createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" }, { clock });
  const asked = await agent.ask({ action: refund, approver: "owner" });
  assert(asked.outcome === "asked");
  ask = asked.ask;
});

describe("redeem", () => {
  test("returns the granted action, the token, its expiry and the approver if approved", async () => {
    stand.token = [await approved(stand, granted)];
    const outcome = await agent.redeem(ask);
    assert(outcome.outcome === "approved");
    assert.equal(outcome.token, accessToken);
    assert.deepEqual(outcome, {
      outcome: "approved",
      tokenType: "Bearer",
      action: granted,
      narrowed: [],
      expiresAt: clock.wall + 60_000,
      scope: "openid",
      approver: "appr_1",
    });
    assert.deepEqual(await outcome.headers("POST", "https://payments.example/refunds"), {
      authorization: `Bearer ${accessToken}`,
    });
    const request = stand.seen.at(-1)!;
    assert.equal(request.path, "/oauth/token");
    assert.deepEqual(Object.fromEntries(request.form), {
      grant_type: "urn:openid:params:grant-type:ciba",
      auth_req_id: "req-1",
    });
  });

  test("reveals no token when an approval is printed or serialized", async () => {
    stand.token = [await approved(stand, granted)];
    const outcome = await agent.redeem(ask);
    assert(!JSON.stringify(outcome).includes(accessToken));
    assert(!inspect(outcome, { depth: 10 }).includes(accessToken));
  });

  test("returns the granted values of a narrowed approval, and names the narrowed fields", async () => {
    stand.token = [await approved(stand, { ...granted, amount: "400.00" })];
    const outcome = await agent.redeem(ask);
    assert(outcome.outcome === "approved");
    assert.equal(outcome.action.amount, "400.00");
    assert.deepEqual(outcome.narrowed, ["amount"]);
  });

  test("returns denied, expired, refused and lost as distinct outcomes (T26)", async () => {
    const cases = [
      ["access_denied", { outcome: "denied" }],
      ["expired_token", { outcome: "expired" }],
      ["invalid_grant", { outcome: "lost" }],
      [
        "invalid_client",
        { outcome: "refused", error: "invalid_client", description: "it is invalid_client" },
      ],
      [
        "invalid_request",
        { outcome: "refused", error: "invalid_request", description: "it is invalid_request" },
      ],
      [
        "unauthorized_client",
        { outcome: "refused", error: "unauthorized_client", description: "it is unauthorized_client" },
      ],
    ] as const;
    for (const [error, outcome] of cases) {
      stand.token = [oauthError(error)];
      assert.deepEqual(await agent.redeem(ask), outcome);
    }
  });

  test("returns the server's denial_reason as the reason, in any script (T44)", async () => {
    stand.token = [oauthError("access_denied", { denial_reason: "Zu hoch: “nie ohne Rücksprache” 🙅" })];
    assert.deepEqual(await agent.redeem(ask), {
      outcome: "denied",
      reason: "Zu hoch: “nie ohne Rücksprache” 🙅",
    });
    stand.token = [
      oauthError("access_denied", { denialReason: "wrong spelling", error_description: "generic words" }),
    ];
    assert.deepEqual(await agent.redeem(ask), { outcome: "denied" });
  });

  test("returns the time of the next poll; slow_down adds 5 s to all later intervals (T40)", async () => {
    stand.token = [pending, oauthError("slow_down"), oauthError("slow_down", {}, { "retry-after": "20" })];
    assert.deepEqual(await agent.redeem(ask), { outcome: "pending", retryAt: clock.wall + 5_000, ask });
    const slowed = await agent.redeem(ask);
    assert.deepEqual(slowed, {
      outcome: "pending",
      retryAt: clock.wall + 10_000,
      ask: { ...ask, intervalSeconds: 10 },
    });
    assert(slowed.outcome === "pending");
    const again = await agent.redeem(slowed.ask);
    assert.deepEqual(again, {
      outcome: "pending",
      retryAt: clock.wall + 20_000,
      ask: { ...ask, intervalSeconds: 15 },
    });
  });

  test("leaves the request pending on 503 and 429", async () => {
    stand.token = [oauthError("temporarily_unavailable", {}, { "retry-after": "30" })];
    assert.deepEqual(await agent.redeem(ask), { outcome: "pending", retryAt: clock.wall + 30_000, ask });
    stand.token = [{ status: 429, body: "<html>", headers: { "retry-after": "garbage" } }];
    assert.deepEqual(await agent.redeem(ask), { outcome: "pending", retryAt: clock.wall + 5_000, ask });
    stand.token = [{ status: 503, headers: { "retry-after": "99999999" } }];
    assert.deepEqual(await agent.redeem(ask), { outcome: "pending", retryAt: clock.wall + 3_600_000, ask });
  });

  test("rejects a truncated response, and the next request returns lost (T20)", async () => {
    for (const broken of ["hang up", "hang up within", { status: 500, body: "{}" }] as const) {
      stand.token = [broken, oauthError("invalid_grant")];
      await assert.rejects(agent.redeem(ask), /no response to the token request/);
      assert.deepEqual(await agent.redeem(ask), { outcome: "lost" });
    }
  });

  test("rejects a malformed response, without revealing the token", async () => {
    const cases: [object, RegExp][] = [
      [{ access_token: undefined }, /malformed: access_token/],
      [{ token_type: "N_A" }, /malformed: token_type/],
      [{ token_type: "DPoP" }, /malformed: token_type/],
      [{ expires_in: "60" }, /malformed: expires_in/],
      [{ scope: null }, /malformed: scope/],
      [{ id_token: undefined }, /malformed: id_token/],
      [{ id_token: "garbage" }, /malformed: id_token/],
      [{ id_token: await idToken({ iss: "https://evil.example" }) }, /malformed: id_token/],
      [{ id_token: await idToken({ iss: stand.issuer, aud: "another" }) }, /malformed: id_token/],
      [{ authorization_details: undefined }, /malformed: authorization_details/],
      [{ authorization_details: [] }, /malformed: authorization_details/],
      [{ authorization_details: [granted, granted] }, /malformed: authorization_details/],
    ];
    for (const [members, message] of cases) {
      stand.token = [await approved(stand, granted, members)];
      const error = await failureOf(agent.redeem(ask));
      assert.match(error.message, message);
      assert(!`${error.stack}${error.cause}`.includes(accessToken));
    }
    stand.token = [{ status: 200, body: "<html>" }];
    await assert.rejects(agent.redeem(ask), /malformed: access_token/);
  });

  test("rejects a grant of another action with ERR_GRANT_MISMATCH (T9)", async () => {
    stand.token = [await approved(stand, { ...granted, order: "B-2" })];
    await assert.rejects(agent.redeem(ask), /granted what was not requested: action\.order/);
    stand.token = [await approved(stand, { ...granted, type: "payout" })];
    await assert.rejects(agent.redeem(ask), /granted what was not requested: action\.type/);
  });

  test("grants a scope without authorization details", async () => {
    const asked = await agent.ask({ scope: "payouts.freeze", approver: "owner" });
    assert(asked.outcome === "asked");
    stand.token = [
      await approved(stand, {}, { authorization_details: undefined, scope: "openid payouts.freeze" }),
    ];
    const outcome = await agent.redeem(asked.ask);
    assert(outcome.outcome === "approved");
    assert.deepEqual(outcome.action, { type: "payouts.freeze" });
  });

  test("rejects a request of another agent or issuer", async () => {
    const requests = stand.seen.length;
    await assert.rejects(agent.redeem({ ...ask, clientId: "another" }), /belongs to another/);
    await assert.rejects(agent.redeem({ ...ask, issuer: "https://other.example" }), {
      code: "ERR_INVALID_ARGUMENT",
    });
    assert.equal(stand.seen.length, requests);
  });

  test("rejects with ERR_ABORTED on abort, with the signal's reason as cause", async () => {
    stand.token = ["never"];
    const requests = stand.seen.length;
    const controller = new AbortController();
    const reason = { why: "any value" };
    const redeeming = agent.redeem(ask, { signal: controller.signal });
    await until(() => stand.seen.length > requests);
    controller.abort(reason);
    const failure = await failureOf(redeeming);
    assert.equal(failure.cause, reason);
  });
});
