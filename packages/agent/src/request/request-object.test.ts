import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { exportJWK, generateKeyPair, jwtVerify } from "jose";
import { acknowledged, metadataOf, type StandIn, standIn, testClock } from "../../test/stand-in.ts";
import { type AgentOptions, createAgent, type NewAsk } from "../agent.ts";

let stand: StandIn;
let keys: CryptoKeyPair;
before(async () => {
  stand = await standIn();
  keys = await generateKeyPair("ES256", { extractable: true });
});
after(() => stand.close());
beforeEach(() => {
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const clientSecret = "s3cret";
const newAsk: NewAsk = {
  action: { type: "refund", order: "Ä-1001", amount: "10000.00", pieces: 2 },
  approver: "dana@shop.example",
  message: "Ticket 4711",
  lifetimeSeconds: 300,
  resource: "https://payments.example",
  idempotencyKey: "ticket-4711",
};
const newAgent = (signRequests: AgentOptions["signRequests"]) =>
  createAgent(
    { issuer: stand.issuer, clientId: "refunder", clientSecret },
    { clock: testClock(), signRequests },
  );
const opened = async (form: URLSearchParams) => {
  const currentDate = new Date(testClock().wall);
  return jwtVerify(form.get("request")!, keys.publicKey, {
    algorithms: ["ES256"],
    currentDate,
    clockTolerance: 5,
  });
};

describe("signed requests", () => {
  test("puts all parameters but client authentication in the request object (T43)", async () => {
    await newAgent({ key: keys.privateKey, kid: "sign-1" }).ask(newAsk);
    const [{ form, headers }] = stand.seen as [StandIn["seen"][0]];
    assert.deepEqual([...form.keys()], ["request"]);
    assert.equal(headers.authorization, `Basic ${btoa("refunder:s3cret")}`);
    assert.equal(headers["idempotency-key"], "ticket-4711");
    const { payload, protectedHeader } = await opened(form);
    assert.deepEqual(protectedHeader, { alg: "ES256", kid: "sign-1", typ: "oauth-authz-req+jwt" });
    const { jti, ...rest } = payload;
    const now = testClock().wall / 1000;
    assert.match(jti!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(rest, {
      scope: "openid",
      login_hint: "dana@shop.example",
      authorization_details: [newAsk.action],
      binding_message: "Ticket 4711",
      requested_expiry: 300,
      resource: "https://payments.example",
      iss: "refunder",
      aud: stand.issuer,
      iat: now,
      nbf: now,
      exp: now + 60,
    });
  });

  test("signs a retry again, with the same idempotency key (T49)", async () => {
    stand.ask = ["hang up", { status: 503 }, acknowledged()];
    await newAgent({ key: keys.privateKey }).ask(newAsk);
    const ids = await Promise.all(stand.seen.map(async ({ form }) => (await opened(form)).payload.jti));
    assert.equal(new Set(ids).size, 3);
    assert.equal(new Set(stand.seen.map(({ headers }) => headers["idempotency-key"])).size, 1);
  });

  test("signs requests with the private key of the credentials, but no token requests", async () => {
    const jwk = await exportJWK(keys.privateKey);
    const credentials = { issuer: stand.issuer, clientId: "refunder", privateKey: { jwk } };
    const agent = createAgent(credentials, { clock: testClock(), signRequests: true });
    const asked = await agent.ask(newAsk);
    assert(asked.outcome === "asked");
    await agent.redeem(asked.ask);
    const [ask, redemption] = stand.seen;
    assert.deepEqual(
      [...ask!.form.keys()],
      ["request", "client_id", "client_assertion_type", "client_assertion"],
    );
    assert.equal(redemption?.form.get("auth_req_id"), "req-1");
    assert.equal(redemption?.form.has("request"), false);
  });

  test("rejects signRequests without a private key", () => {
    assert.throws(() => newAgent(true), /the credentials have none/);
  });
});
