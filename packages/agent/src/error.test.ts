import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { acknowledged, metadataOf, type StandIn, standIn, testClock } from "../test/stand-in.ts";
import { type AgentOptions, CountersignError, createAgent, type ErrorCode } from "./agent.ts";

let stand: StandIn;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const wanted = { action: { type: "refund", order: "A-1001" }, approver: "owner" } as const;
const newAgent = (options: AgentOptions = {}) =>
  createAgent(
    { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
    { clock: testClock(), ...options },
  );
const hasCode = (code: ErrorCode) => (error: unknown) => {
  assert(error instanceof CountersignError);
  assert.equal(error.code, code);
  return true;
};
const failing = (error: Error): typeof fetch => {
  return async (url, init) => (init?.method === "POST" ? Promise.reject(error) : fetch(url, init));
};

describe("errors of the agent", () => {
  test("ERR_INVALID_ARGUMENT: an invalid option or argument", async () => {
    assert.throws(() => newAgent({ longPollSeconds: 61 }), hasCode("ERR_INVALID_ARGUMENT"));
    assert.throws(() => createAgent({ issuer: "x", clientId: "c", clientSecret: "s" }), {
      name: "InvalidArgumentError",
    });
    for (const order of [0.5, "\ud800", undefined, new Date()])
      await assert.rejects(
        newAgent().ask({ ...wanted, action: { type: "refund", order } as never }),
        hasCode("ERR_INVALID_ARGUMENT"),
      );
  });

  test("ERR_METADATA: metadata of another issuer, and an endpoint that is not https", async () => {
    for (const body of [
      { issuer: "https://evil.example" },
      { token_endpoint: "http://evil.example/token" },
    ]) {
      stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), ...body } }];
      await assert.rejects(newAgent().ask(wanted), hasCode("ERR_METADATA"));
    }
  });

  test("ERR_AUTHENTICATION: a private key that cannot be read", async () => {
    const privateKey = { pem: "not a key", algorithm: "ES256" } as const;
    const agent = createAgent({ issuer: stand.issuer, clientId: "refunder", privateKey });
    await assert.rejects(agent.ask(wanted), hasCode("ERR_AUTHENTICATION"));
    const dpop = newAgent({ dpop: { jwk: { kty: "EC", crv: "P-256", x: "x", y: "y" } } });
    const asked = await newAgent().ask(wanted);
    assert(asked.outcome === "asked");
    stand.metadata = [
      { status: 200, body: { ...metadataOf(stand.issuer), dpop_signing_alg_values_supported: ["ES256"] } },
    ];
    await assert.rejects(dpop.redeem(asked.ask), hasCode("ERR_AUTHENTICATION"));
  });

  test("ERR_NETWORK: a lost connection; the cause is kept", async () => {
    const lost = new TypeError("connection lost");
    const error = await newAgent({ fetch: failing(lost) })
      .ask(wanted)
      .catch((failure) => failure);
    hasCode("ERR_NETWORK")(error);
    assert.equal(error.cause.code, "ERR_NETWORK");
    assert.equal(error.cause.cause, lost);
  });

  test("ERR_TIMEOUT: a request that exceeds its time limit", async () => {
    const fetch = failing(new DOMException("The operation timed out", "TimeoutError"));
    await assert.rejects(newAgent({ fetch }).ask(wanted), hasCode("ERR_TIMEOUT"));
  });

  test("ERR_TIMEOUT: wait, without a status until a minute after the expiry", async () => {
    const asked = await newAgent().ask(wanted);
    assert(asked.outcome === "asked");
    const agent = newAgent({ fetch: failing(new TypeError("connection lost")) });
    await assert.rejects(agent.wait(asked.ask), hasCode("ERR_TIMEOUT"));
  });

  test("ERR_RESPONSE: a response without auth_req_id, and one without an OAuth error", async () => {
    for (const answer of [{ status: 200, body: {} }, { status: 404 }]) {
      stand.ask = [answer];
      await assert.rejects(newAgent().ask(wanted), hasCode("ERR_RESPONSE"));
    }
  });

  test("ERR_GRANT_MISMATCH: a granted field that was not requested", async () => {
    const asked = await newAgent().ask(wanted);
    assert(asked.outcome === "asked");
    const authorization_details = [{ type: "refund", order: "A-1002" }];
    const token = { access_token: "t", token_type: "Bearer", expires_in: 60, scope: "openid" };
    stand.token = [{ status: 200, body: { ...token, authorization_details } }];
    await assert.rejects(newAgent().redeem(asked.ask), hasCode("ERR_GRANT_MISMATCH"));
  });

  test("ERR_ABORTED: the cause is the signal's reason", async () => {
    const reason = new Error("shutting down");
    const error = await newAgent()
      .ask(wanted, { signal: AbortSignal.abort(reason) })
      .catch((failure) => failure);
    hasCode("ERR_ABORTED")(error);
    assert.equal(error.cause, reason);
    assert.equal(error.name, "AbortError");
  });
});
