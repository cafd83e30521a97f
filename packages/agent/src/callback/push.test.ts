import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import {
  accessToken,
  acknowledged,
  handClock,
  metadataOf,
  type Reply,
  type StandIn,
  standIn,
  until,
} from "../../test/stand-in.ts";
import { type Agent, type Ask, type CallbackOptions, createAgent, type Outcome } from "../agent.ts";

let stand: StandIn;
let clock: ReturnType<typeof handClock>;
let agent: Agent;
let keys: CryptoKeyPair;
let jwks: Reply;
const problems: Error[] = [];
const action = { type: "refund", order: "A-1001" };
const newAsk = { action, approver: "owner", idempotencyKey: "ticket-4711" } as const;
const credentials = () => ({ issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" });
const onProblem = (problem: Error) => problems.push(problem);
const newAgent = (callback: Partial<CallbackOptions> = {}) =>
  createAgent(credentials(), {
    clock,
    callback: { mode: "push", onProblem, ...callback } as CallbackOptions,
  });

before(async () => {
  stand = await standIn();
  keys = await generateKeyPair("ES256");
  jwks = { status: 200, body: { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256" }] } };
});
after(() => stand.close());
beforeEach(() => {
  clock = handClock();
  problems.length = 0;
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.jwks = [jwks];
  const body = metadataOf(stand.issuer);
  const jwks_uri = `${stand.issuer}/jwks`;
  const id_token_signing_alg_values_supported = ["ES256"];
  stand.metadata = [{ status: 200, body: { ...body, jwks_uri, id_token_signing_alg_values_supported } }];
  agent = newAgent();
});

const halfHash = (text: string, algorithm = "sha256") => {
  const digest = createHash(algorithm).update(text).digest();
  return digest.subarray(0, digest.length / 2).toString("base64url");
};
const about = "urn:openid:params:jwt:claim:auth_req_id";
const refreshHash = "urn:openid:params:jwt:claim:rt_hash";

type Signing = { key?: CryptoKey | Uint8Array; alg?: string; kid?: string };
function idToken(
  claims: JWTPayload = {},
  { key = keys.privateKey, alg = "ES256", kid = "k1" }: Signing = {},
) {
  const now = clock.wall / 1000;
  const genuine = {
    iss: stand.issuer,
    aud: "refunder",
    sub: "appr_1",
    iat: now,
    exp: now + 60,
    at_hash: halfHash(accessToken),
    [about]: "req-1",
  };
  return new SignJWT({ ...genuine, ...claims }).setProtectedHeader({ alg, kid }).sign(key);
}
async function pushed(members: object = {}, claims: JWTPayload = {}, signing: Signing = {}): Promise<object> {
  return {
    auth_req_id: "req-1",
    access_token: accessToken,
    token_type: "Bearer",
    expires_in: 60,
    scope: "openid",
    id_token: await idToken(claims, signing),
    authorization_details: [action],
    ...members,
  };
}
async function askAs(asker = agent): Promise<Ask> {
  const asked = await asker.ask(newAsk);
  assert(asked.outcome === "asked");
  return asked.ask;
}
async function push(body: object, to = agent): Promise<number> {
  const token = stand.seen
    .findLast(({ path }) => path === "/bc-authorize")
    ?.form.get("client_notification_token");
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  return (await to.receive(new Request("https://agent.example/callback", init))).status;
}
const asleep = () => until(() => clock.asleep().length > 0);

describe("push", () => {
  test("ends the wait with the outcome of a poll, without a token request", async () => {
    const waiting = agent.wait(await askAs());
    await asleep();
    clock.pass(7_000);
    assert.equal(await push(await pushed({ authorization_details: [action] })), 204);
    const outcome = await waiting;
    assert(outcome.outcome === "approved");
    assert.deepEqual(outcome, {
      outcome: "approved",
      tokenType: "Bearer",
      action,
      narrowed: [],
      expiresAt: clock.wall + 60_000,
      scope: "openid",
      approver: "appr_1",
    });
    assert.equal(outcome.token, accessToken);
    assert.deepEqual(
      stand.seen.map(({ path }) => path),
      ["/bc-authorize"],
    );
  });

  test("returns pushed errors as outcomes: denied with its reason, expired, failed (T26)", async () => {
    for (const [error, expected] of [
      [
        { error: "access_denied", denial_reason: "too much" },
        { outcome: "denied", reason: "too much" },
      ],
      [{ error: "expired_token" }, { outcome: "expired" }],
      [
        { error: "transaction_failed", error_description: "it broke" },
        { outcome: "refused", error: "transaction_failed", description: "it broke" },
      ],
    ] as const) {
      agent = newAgent();
      const waiting = agent.wait(await askAs());
      assert.equal(await push({ auth_req_id: "req-1", ...error }), 204);
      assert.deepEqual(await waiting, expected);
      assert.deepEqual(await agent.redeem(await askAs()), expected, "and it stays so");
    }
  });

  test("rejects a push with a wrong signature, at_hash or auth_req_id", async () => {
    const stranger = await generateKeyPair("ES256");
    const now = clock.wall / 1000;
    const cases: [string, object, JWTPayload?, Signing?][] = [
      ["no ID token", { id_token: undefined }],
      ["no JWT", { id_token: "garbage" }],
      ["a forged signature", {}, {}, { key: stranger.privateKey }],
      ["alg none", { id_token: `${btoa('{"alg":"none"}')}.${btoa("{}")}.` }],
      [
        "the public key as a secret",
        {},
        {},
        { key: new TextEncoder().encode("secret".repeat(8)), alg: "HS256" },
      ],
      [
        "an algorithm that the server does not name",
        {},
        {},
        { key: (await generateKeyPair("PS256")).privateKey, alg: "PS256" },
      ],
      ["another issuer", {}, { iss: "https://evil.example" }],
      ["another audience", {}, { aud: "payer" }],
      ["an audience beside this one", {}, { aud: ["refunder", "payer"] }],
      ["no audience", {}, { aud: [] }],
      ["no subject", {}, { sub: undefined }],
      ["expired", {}, { exp: now - 61 }],
      ["without an end", {}, { exp: undefined }],
      ["made in the future", {}, { iat: now + 120 }],
      ["made long ago", {}, { iat: now - 1_000 }],
      ["not saying when it was made", {}, { iat: undefined }],
      ["another access token", { access_token: `${accessToken}x` }],
      ["no at_hash", {}, { at_hash: undefined }],
      ["the hash of nothing", { access_token: undefined }, { at_hash: halfHash("undefined") }],
      ["no type", { token_type: undefined }],
      ["no end", { expires_in: "60" }],
      ["a refresh token that is none", { refresh_token: null }],
      ["another ask", {}, { [about]: "req-2" }],
      ["no ask", {}, { [about]: undefined }],
      ["a refresh token that it does not name", { refresh_token: "r" }],
      ["a refresh token that did not come", {}, { [refreshHash]: halfHash("r") }],
      ["another refresh token", { refresh_token: "r" }, { [refreshHash]: halfHash("q") }],
    ];
    const ask = await askAs();
    for (const [name, members, claims, signing] of cases) {
      problems.length = 0;
      assert.equal(await push(await pushed(members, claims, signing)), 400, name);
      assert.equal(problems.length, 1, name);
      assert.match(problems[0]!.message, /^a push was rejected: /);
      assert(!`${problems[0]!.stack}${problems[0]!.cause}`.includes(accessToken), name);
    }
    assert.equal((await agent.redeem(ask)).outcome, "pending", "nothing of all that was kept");
    assert.equal(await push(await pushed({ refresh_token: "r" }, { [refreshHash]: halfHash("r") })), 204);
    assert.equal((await agent.redeem(ask)).outcome, "approved");
  });

  test("compares the hash by the signature algorithm: SHA-384 for ES384, SHA-512 for EdDSA", async () => {
    for (const [alg, algorithm] of [
      ["ES384", "sha384"],
      ["EdDSA", "sha512"],
      ["PS512", "sha512"],
    ] as const) {
      const { privateKey, publicKey } = await generateKeyPair(alg);
      stand.jwks = [{ status: 200, body: { keys: [{ ...(await exportJWK(publicKey)), kid: "k2", alg }] } }];
      const [metadata] = stand.metadata as { body: object }[];
      stand.metadata = [
        { status: 200, body: { ...metadata?.body, id_token_signing_alg_values_supported: ["ES256", alg] } },
      ];
      agent = newAgent();
      const ask = await askAs();
      const signing = { key: privateKey, alg, kid: "k2" };
      assert.equal(await push(await pushed({}, {}, signing)), 400, "SHA-256 it is not");
      assert.equal(await push(await pushed({}, { at_hash: halfHash(accessToken, algorithm) }, signing)), 204);
      assert.equal((await agent.redeem(ask)).outcome, "approved");
    }
  });

  test("responds 503 while the server's keys cannot be fetched, and accepts the push later", async () => {
    stand.jwks = [{ status: 503 }];
    const ask = await askAs();
    assert.equal(await push(await pushed()), 503);
    assert.match(problems[0]!.message, /a push cannot be validated/);
    stand.jwks = [jwks];
    assert.equal(await push(await pushed()), 204);
    assert.equal((await agent.redeem(ask)).outcome, "approved");
  });

  test("returns a pushed result once, however often it is sent (T17)", async () => {
    const ask = await askAs();
    const body = await pushed();
    assert.equal(await push(body), 204);
    assert.equal(await push(body), 204);
    assert.equal((await agent.wait(ask)).outcome, "approved");
    assert.equal(await push(body), 204);
    assert.deepEqual(await agent.wait(ask), { outcome: "lost" });
  });

  test("keeps a push that arrives before the response to the request", async () => {
    const early: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      if (`${url}`.endsWith("/bc-authorize")) assert.equal(await push(await pushed(), hasty), 204);
      return response;
    };
    const options = { clock, fetch: early, callback: { mode: "push", onProblem } as const };
    const hasty = createAgent(credentials(), options);
    assert.equal((await hasty.wait(await askAs(hasty))).outcome, "approved");
  });

  test("rejects a pushed grant of another action with ERR_GRANT_MISMATCH (T9)", async () => {
    const ask = await askAs();
    await push(await pushed({ authorization_details: [{ ...action, order: "B-2" }] }));
    await assert.rejects(agent.wait(ask), /granted what was not requested: action\.order/);
  });

  test("refuses a push that this process cannot use, so that another process can (T20)", async () => {
    await askAs();
    const store = new Map<string, Ask>();
    const body = await pushed();
    assert.equal(await push(body, newAgent()), 503);
    assert.equal(await push(body, newAgent({ store, onReady: () => assert.fail("it is not kept") })), 503);
  });

  test("passes a push for a stored request to onReady; wait and countersigned resume it (T21)", async () => {
    const ask = await askAs();
    const store = new Map([[ask.idempotencyKey, ask]]);
    const outcomes: unknown[] = [];
    const ways: ((taker: Agent, ready: Ask) => Promise<Outcome | { outcome: string }>)[] = [
      (taker, ready) => taker.wait(ready),
      (taker) => taker.countersigned(newAsk, () => "refunded", { store }),
    ];
    for (const way of ways) {
      const taker: Agent = newAgent({
        store,
        onReady: (ready: Ask) => way(taker, ready).then((outcome) => outcomes.push(outcome.outcome)),
      });
      assert.equal(await push(await pushed(), taker), 204);
      await until(() => outcomes.length > 0);
      assert.equal(outcomes.pop(), "approved");
    }
    assert.equal(store.size, 0);
  });

  test("ends the wait one minute after the expiry without a push, and sends no request", async () => {
    const waiting = agent.wait(await askAs());
    await asleep();
    clock.pass(clock.asleep()[0]!);
    await assert.rejects(waiting, /no push was received.*its outcome is unknown/);
    assert.equal(clock.passed, 180_001);
    assert.equal(stand.seen.length, 1);
  });

  test("rejects a push of a non-final error", async () => {
    const ask = await askAs();
    await push({ auth_req_id: "req-1", error: "authorization_pending" });
    await assert.rejects(agent.wait(ask), /unexpected error in a push/);
  });
});
