/** Signed authentication requests (CIBA §7.1.1), over HTTP: what is in them, what stands beside them, and how often. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  basic,
  type Deployment,
  deploy,
  type HttpReply,
  issuer,
  type Person,
  refund,
  requestIdOf,
} from "@countersign/testing/server/deployment";
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK, UnsecuredJWT } from "jose";
import * as oauth from "oauth4webapi";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

type Signer = { readonly id: string; readonly secret: string; readonly key: CryptoKey; readonly alg: string };

let deployment: Deployment;
let ada: Person;
let signer: Signer;
before(async () => {
  deployment = await deploy();
  ada = await deployment.enrol("ada@example.com");
  signer = await admit("signer", "ES256");
});
after(async () => {
  assert.deepEqual(deployment.faults, []);
  await deployment.close();
});

/** An agent that is registered to sign its requests with this algorithm. */
async function admit(id: string, alg: string, options: object = {}): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
  const jwk = (await exportJWK(publicKey)) as JWK & Record<string, string>;
  const added = await addAgent(deployment.server.store, {
    id,
    name: id,
    types: ["refund", "promote"],
    credential: { method: "client_secret_basic" },
    keys: { from: "registration", jwks: [jwk] },
    requestAlgorithm: alg,
  });
  assert.ok("secret" in added);
  return { id, secret: added.secret ?? "", key: privateKey, alg };
}

let order = 0;
const nowSeconds = () => Math.floor(deployment.clock.now / 1000);
const action = () => [{ ...refund, order: `S-${++order}` }];

/** The claims of a request that is good. */
const claims = (changed: object = {}): object => ({
  iss: signer.id,
  aud: issuer,
  iat: nowSeconds(),
  nbf: nowSeconds(),
  exp: nowSeconds() + 60,
  jti: `jti-${++order}`,
  scope: "openid",
  login_hint: "ada@example.com",
  authorization_details: action(),
  ...changed,
});

/** A payload as text is signed as it stands, also where no serialiser would write it. */
function sign(payload: object | string, header: object = {}, by: Signer = signer): Promise<string> {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  return new CompactSign(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: by.alg, typ: "oauth-authz-req+jwt", ...header })
    .sign(by.key);
}

const send = (
  form: Readonly<Record<string, string>>,
  headers = {},
  by: Signer = signer,
): Promise<HttpReply> => deployment.post("/bc-authorize", form, { ...basic(by), ...headers });

const asked = async () => (await deployment.server.store.listRequests({ limit: 1000 })).length;

async function refused(
  answer: Promise<HttpReply>,
  error = "invalid_request",
  before?: number,
): Promise<void> {
  const count = before ?? (await asked());
  const { status, body, headers } = await answer;
  assert.deepEqual([status, body.error], [400, error], body.error_description);
  assert.match(body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  assert.equal(headers.get("www-authenticate"), null);
  assert.equal(await asked(), count, "nobody was asked");
}

test("a signed request is asked as it is in the form, and redeemed", async () => {
  const details = action();
  const request = await sign(
    claims({
      authorization_details: details,
      binding_message: "Please",
      requested_expiry: 30,
      resource: "https://refunds.example",
    }),
  );
  const answer = await send({ request });
  assert.equal(answer.status, 200, answer.body.error_description);
  assert.equal(answer.body.expires_in, 30);
  const id = requestIdOf(answer.body.auth_req_id);
  const held = await deployment.server.store.read("request", id);
  assert.deepEqual(held?.record.candidates, [ada.approver]);
  assert.match(await (await ada.get(`/requests/${id}`)).text(), /Please/);
  await ada.decide(id, "approve");
  const form = { grant_type: "urn:openid:params:grant-type:ciba", auth_req_id: answer.body.auth_req_id };
  const granted = await deployment.post("/oauth/token", form, basic(signer));
  assert.deepEqual(granted.body.authorization_details, details);
});

test("a request object as oauth4webapi and openid-client make it is good", async () => {
  const document: any = await (await deployment.request("/.well-known/openid-configuration")).json();
  const parameters = {
    scope: "openid openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify(action()),
    requested_expiry: "30",
    resource: "https://refunds.example",
    response_type: "code",
  };
  const clock = deployment.clock.now - Date.now();
  const client = { client_id: signer.id, [oauth.clockSkew]: Math.floor(clock / 1000) };
  const request = await oauth.issueRequestObject(document, client, parameters, signer.key);
  const answer = await send({ request, client_id: signer.id });
  assert.deepEqual([answer.status, answer.body.expires_in], [200, 30], answer.body.error_description);
});

const good: readonly (readonly [string, () => object, object?])[] = [
  ["details as text", () => ({ authorization_details: JSON.stringify(action()) })],
  ["the lifetime as text", () => ({ requested_expiry: "30" })],
  ["an audience list that names only us", () => ({ aud: [issuer] })],
  ["an audience with a slash at its end", () => ({ aud: `${issuer}/` })],
  ["one resource in a list", () => ({ resource: ["https://refunds.example"] })],
  ["client_id inside", () => ({ client_id: "signer", response_type: "code", max_age: 5 })],
  ["empty parameters", () => ({ binding_message: "", audience: "" })],
  ["nbf a few seconds ahead", () => ({ nbf: nowSeconds() + 8 })],
  ["an hour of life", () => ({ exp: nowSeconds() + 3600 })],
  ["no typ", () => ({}), { typ: undefined }],
  ["typ JWT", () => ({}), { typ: "JWT" }],
  ["typ with its prefix", () => ({}), { typ: "application/oauth-authz-req+jwt" }],
];
for (const [name, changed, header] of good)
  test(`a request with ${name} is good`, async () => {
    const answer = await send({ request: await sign(claims(changed()), header) });
    assert.equal(answer.status, 200, answer.body.error_description);
    if ("requested_expiry" in changed()) assert.equal(answer.body.expires_in, 30);
  });

for (const alg of ["PS256", "RS256", "EdDSA"])
  test(`an agent may be registered for ${alg}`, async () => {
    const other = await admit(`signer-${alg}`, alg);
    const answer = await send({ request: await sign(claims({ iss: other.id }), {}, other) }, {}, other);
    assert.equal(answer.status, 200, answer.body.error_description);
  });

const bad: readonly (readonly [string, () => object, string?])[] = [
  ...["iss", "aud", "exp", "iat", "nbf", "jti", "scope", "login_hint"].map(
    (name) => [`without ${name}`, () => ({ [name]: undefined })] as const,
  ),
  ["of another agent", () => ({ iss: "agent-1" })],
  ["for another issuer", () => ({ aud: "https://other.example" })],
  ["for an endpoint of ours, which is no issuer", () => ({ aud: `${issuer}/bc-authorize` })],
  ["T55: for us and somebody else", () => ({ aud: [issuer, "https://other.example"] })],
  ["for nobody", () => ({ aud: [] })],
  ["T55: with an empty jti", () => ({ jti: "" })],
  ["with a jti that is no text", () => ({ jti: 7 })],
  ["that has expired", () => ({ nbf: nowSeconds() - 120, iat: nowSeconds() - 120, exp: nowSeconds() - 31 })],
  ["that is not good yet", () => ({ nbf: nowSeconds() + 600, exp: nowSeconds() + 660 })],
  ["of the future", () => ({ iat: nowSeconds() + 600 })],
  ["T55: good for ten years", () => ({ exp: nowSeconds() + 315_360_000 })],
  ["T55: good for a second more than an hour", () => ({ exp: nowSeconds() + 3601 })],
  ["T55: good since more than an hour", () => ({ nbf: nowSeconds() - 4200, exp: nowSeconds() + 10 })],
  ["with an exp that is text", () => ({ exp: String(nowSeconds() + 60) })],
  ["whose subject is the agent, as in a client assertion", () => ({ sub: "signer" })],
  ["of another client_id", () => ({ client_id: "agent-1" })],
  ["with a request inside", () => ({ request: "e30.e30." })],
  ["with a request_uri inside", () => ({ request_uri: "urn:example:1" })],
  ["with claims inside", () => ({ claims: { id_token: { email: null } } })],
  ["with a user_code, which is not supported", () => ({ user_code: "123456" })],
  ["with a scope that is a list", () => ({ scope: ["openid"] })],
  ["with acr_values that are a list", () => ({ acr_values: ["urn:countersign:acr:session"] })],
  ["with a hint that is an object", () => ({ login_hint: { format: "email", email: "ada@example.com" } })],
  ["with two hints", () => ({ id_token_hint: "e30.e30." })],
  ["with a message that is a number", () => ({ binding_message: 1 })],
  ["with a NUL in a parameter", () => ({ login_hint: "ada@example.com\0" })],
  ["T54: with a lifetime of nothing", () => ({ requested_expiry: 0 })],
  ["T54: with a negative lifetime", () => ({ requested_expiry: -5 })],
  ["T54: with a lifetime that only converts to a number", () => ({ requested_expiry: "1e3" })],
  ["T54: with a lifetime that is true", () => ({ requested_expiry: true })],
  ["T54: with a lifetime that is a fraction", () => ({ requested_expiry: 5.5 })],
  [
    "with two resources",
    () => ({ resource: ["https://refunds.example", "https://calendar.example"] }),
    "invalid_target",
  ],
  ["with another resource", () => ({ resource: "https://calendar.example" }), "invalid_target"],
  [
    "with details that are an object",
    () => ({ authorization_details: action()[0] }),
    "invalid_authorization_details",
  ],
  [
    "with a hidden field",
    () => ({ authorization_details: [{ ...refund, hidden: 1 }] }),
    "invalid_authorization_details",
  ],
  ["for a person whom nobody knows", () => ({ login_hint: "eve@example.com" }), "unknown_user_id"],
];
for (const [name, changed, error] of bad)
  test(`a request ${name} is refused, and nobody is asked`, async () => {
    await refused(send({ request: await sign(claims(changed())) }), error);
  });

for (const typ of ["client-authentication+jwt", "at+jwt", "dpop+jwt", "logout+jwt", "", 5, {}, ["JWT"], null])
  test(`what says that it is ${JSON.stringify(typ)} is no request`, async () => {
    await refused(send({ request: await sign(claims(), { typ }) }));
  });

test("T14: equal keys and numbers that would change are seen inside a request, where no parser would show them", async () => {
  const text = (details: string, more = "") => {
    const { authorization_details: _, ...rest } = claims() as { authorization_details: unknown };
    return `${JSON.stringify(rest).slice(0, -1)},${more}"authorization_details":${details}}`;
  };
  const fields = '"type":"refund","order":"J-1","currency":"USD"';
  const invalid = "invalid_authorization_details";
  await refused(
    send({ request: await sign(text(`[{${fields},"amount":"1.00","amount":"9.00"}]`)) }),
    invalid,
  );
  await refused(
    send({ request: await sign(text(`[{${fields},"amount":"1.00","quantity":9007199254740993}]`)) }),
    invalid,
  );
  await refused(send({ request: await sign(text(`[{${fields},"amount":"1.00","__proto__":{}}]`)) }), invalid);
  await refused(send({ request: await sign(text("[]", '"authorization_details":[],')) }), invalid);
  await refused(
    send({ request: await sign(text(`[{${fields},"amount":"1.00"}]`, '"scope":"openid profile",')) }),
  );
  assert.equal((await send({ request: await sign(text(`[{${fields},"amount":"1.00"}]`)) })).status, 200);
});

test("T46: a request that this agent did not sign, by its algorithm, is refused", async () => {
  const other = await admit("signer-2", "ES256");
  const rsa = await admit("signer-3", "PS256");
  const unsigned = new UnsecuredJWT(claims() as Record<string, unknown>).encode();
  const secret = new TextEncoder().encode(signer.secret);
  const hmac = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims())))
    .setProtectedHeader({ alg: "HS256" })
    .sign(secret);
  await refused(send({ request: await sign(claims(), {}, other) }));
  await refused(send({ request: unsigned }));
  await refused(send({ request: hmac }));
  await refused(send({ request: "not a token" }));
  await refused(send({ request: `${await sign(claims())}x` }));
  await refused(send({ request: await sign(claims(), { kid: "unknown" }) }));
  const rs256 = { ...rsa, alg: "RS256", key: (await generateKeyPair("RS256")).privateKey };
  await refused(send({ request: await sign(claims({ iss: rsa.id }), {}, rs256) }, {}, rsa));
  await refused(send({ request: await sign("[]") }));
  await refused(send({ request: await sign("{") }));
});

test("T43, T50: nothing stands beside a request object but what proves who calls", async () => {
  const one: Record<string, string> = {
    scope: "openid",
    login_hint: "bob@example.com",
    binding_message: "x",
    requested_expiry: "5",
    request_uri: "urn:example:1",
    client_notification_token: "t".repeat(32),
    whatever: "x",
  };
  for (const [name, value] of Object.entries(one))
    await refused(send({ request: await sign(claims()), [name]: value }));
  const { id, secret } = signer;
  const beside = { client_id: id, client_secret: secret, binding_message: "" };
  const answer = await deployment.post("/bc-authorize", { request: await sign(claims()), ...beside });
  assert.equal(answer.status, 401, "by the method that it is registered for, and no other");
  const named = await send({ request: await sign(claims()), client_id: id });
  assert.equal(named.status, 200, named.body.error_description);
});

test("an agent that signs must sign, and one that is not registered for it must not", async () => {
  const form = {
    scope: "openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify(action()),
  };
  await refused(send(form));
  await refused(deployment.ask({ request: await sign(claims({ iss: deployment.agent.id })) }));
  await refused(deployment.ask({ request_uri: "urn:example:1" }));
});

test("T49: a request object asks once, also after a restart, also once its request has ended", async () => {
  const request = await sign(claims({ requested_expiry: 10, exp: nowSeconds() + 3000 }));
  assert.equal((await send({ request })).status, 200);
  const count = await asked();
  await refused(send({ request }), "invalid_request", count);
  await deployment.restart();
  await refused(send({ request }), "invalid_request", count);
  deployment.clock.now += 20_000;
  await refused(send({ request }), "invalid_request", count);
  await deployment.server.runJobs();
  await refused(send({ request }), "invalid_request", count);
});

test("T49: of many of the same request object at once, one asks", async () => {
  const request = await sign(claims());
  const before = await asked();
  const answers = await Promise.all(Array.from({ length: 30 }, () => send({ request })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.ok(answers.every(({ status, body }) => status === 200 || body.error === "invalid_request"));
  assert.equal(await asked(), before + 1);
});

test("T49: a request object that joined what was waiting already is used up, too", async () => {
  const details = action();
  const first = await send({ request: await sign(claims({ authorization_details: details })) });
  const second = await sign(claims({ authorization_details: details }));
  const joined = await send({ request: second });
  assert.deepEqual([joined.body.joined, joined.body.auth_req_id], [true, first.body.auth_req_id]);
  await refused(send({ request: second }));
});

test("the same request object with the same Idempotency-Key gets the same answer, and with another one none", async () => {
  const request = await sign(claims());
  const key = { "idempotency-key": "signed-1" };
  const answers = await Promise.all(Array.from({ length: 10 }, () => send({ request }, key)));
  const again = await send({ request }, key);
  assert.equal(again.status, 200, again.body.error_description);
  assert.equal(new Set([...answers, again].map(({ body }) => body.auth_req_id)).size, 1);
  await refused(send({ request }, { "idempotency-key": "signed-2" }));
  await refused(send({ request }));
});

test("a request that was refused has asked nobody, and may be sent again", async () => {
  const request = await sign(claims({ login_hint: "bob@example.com" }));
  await refused(send({ request }), "unknown_user_id");
  await deployment.enrol("bob@example.com");
  assert.equal((await send({ request })).status, 200);
});

test("a jti is one agent's own", async () => {
  const other = await admit("signer-4", "ES256");
  const jti = "the-same";
  assert.equal((await send({ request: await sign(claims({ jti })) })).status, 200);
  const answer = await send({ request: await sign(claims({ jti, iss: other.id }), {}, other) }, {}, other);
  assert.equal(answer.status, 200, answer.body.error_description);
});

test("metadata names the algorithms of signed requests", async () => {
  const document: any = await (await deployment.request("/.well-known/openid-configuration")).json();
  for (const alg of ["ES256", "PS256"])
    assert.ok(document.backchannel_authentication_request_signing_alg_values_supported.includes(alg));
  assert.ok(!document.backchannel_authentication_request_signing_alg_values_supported.includes("none"));
});
