/**
 * Signed authentication requests at `POST /bc-authorize` (CIBA §7.1.1), without a server: which request objects are accepted
 * and how others are rejected.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Endpoints, useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { type HttpReply, issuer, refund, toBasicAuth } from "@countersign/testing/server/deployment";
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK, UnsecuredJWT } from "jose";

type Signer = { readonly id: string; readonly secret: string; readonly key: CryptoKey; readonly alg: string };

let signer: Signer;
const endpoints = useEndpoints({
  config: { limits: { max_pending_per_agent: 1000 } },
  setUp: async ({ addAgent }) => {
    signer = await admit("signer", "ES256", addAgent);
  },
});

/** Adds an agent that is registered to sign its requests with this algorithm. */
async function admit(
  id: string,
  alg: string,
  addAgent: Endpoints["addAgent"] = endpoints.addAgent,
): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = (await exportJWK(publicKey)) as JWK & Record<string, string>;
  const { secret } = await addAgent({
    id,
    types: ["refund", "promote"],
    credential: { method: "client_secret_basic" },
    keys: { from: "registration", jwks: [jwk] },
    requestAlgorithm: alg,
  });
  return { id, secret, key: privateKey, alg };
}

let order = 0;
const nowSeconds = () => Math.floor(endpoints.clock.now / 1000);
const action = () => [{ ...refund, order: `S-${++order}` }];

/** The claims of a valid request object. */
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

/** Signs the claims. A string is signed as it is, also if no serializer would write it. */
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
): Promise<HttpReply> => endpoints.post("/bc-authorize", form, { ...toBasicAuth(by), ...headers });

const countRequests = async () => (await endpoints.deps.store.listRequests({ limit: 1000 })).length;

async function refused(reply: Promise<HttpReply>, error = "invalid_request"): Promise<void> {
  const before = await countRequests();
  const { status, body, headers } = await reply;
  assert.deepEqual([status, body.error], [400, error], body.error_description);
  assert.match(body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  assert.equal(headers.get("www-authenticate"), null);
  assert.equal(await countRequests(), before);
}

const good: readonly (readonly [string, () => object, object?])[] = [
  ["details as a string", () => ({ authorization_details: JSON.stringify(action()) })],
  ["requested_expiry as a string", () => ({ requested_expiry: "30" })],
  ["an audience list of this issuer only", () => ({ aud: [issuer] })],
  ["an audience with a slash at its end", () => ({ aud: `${issuer}/` })],
  ["one resource in a list", () => ({ resource: ["https://refunds.example"] })],
  ["client_id as a claim", () => ({ client_id: "signer", response_type: "code", max_age: 5 })],
  ["empty parameters", () => ({ binding_message: "", audience: "" })],
  ["nbf a few seconds ahead", () => ({ nbf: nowSeconds() + 8 })],
  ["a lifetime of an hour", () => ({ exp: nowSeconds() + 3600 })],
  ["no typ", () => ({}), { typ: undefined }],
  ["typ JWT", () => ({}), { typ: "JWT" }],
  ["typ with the prefix application/", () => ({}), { typ: "application/oauth-authz-req+jwt" }],
];
const invalid: readonly (readonly [string, () => object, string?])[] = [
  ...["iss", "aud", "exp", "iat", "nbf", "jti", "scope", "login_hint"].map(
    (name) => [`no ${name}`, () => ({ [name]: undefined })] as const,
  ),
  ["another agent as iss", () => ({ iss: "agent-1" })],
  ["another audience", () => ({ aud: "https://other.example" })],
  ["an endpoint as the audience", () => ({ aud: `${issuer}/bc-authorize` })],
  ["an audience list with another audience (T55)", () => ({ aud: [issuer, "https://other.example"] })],
  ["an empty audience list", () => ({ aud: [] })],
  ["an empty jti (T55)", () => ({ jti: "" })],
  ["a numeric jti", () => ({ jti: 7 })],
  [
    "an exp in the past",
    () => ({ nbf: nowSeconds() - 120, iat: nowSeconds() - 120, exp: nowSeconds() - 31 }),
  ],
  ["an nbf in the future", () => ({ nbf: nowSeconds() + 600, exp: nowSeconds() + 660 })],
  ["an iat in the future", () => ({ iat: nowSeconds() + 600 })],
  ["a lifetime of ten years (T55)", () => ({ exp: nowSeconds() + 315_360_000 })],
  ["a lifetime of an hour and a second (T55)", () => ({ exp: nowSeconds() + 3601 })],
  ["an nbf of more than an hour ago (T55)", () => ({ nbf: nowSeconds() - 4200, exp: nowSeconds() + 10 })],
  ["an exp that is a string", () => ({ exp: String(nowSeconds() + 60) })],
  ["a sub, as in a client assertion", () => ({ sub: "signer" })],
  ["another client_id", () => ({ client_id: "agent-1" })],
  ["a nested request", () => ({ request: "e30.e30." })],
  ["a request_uri", () => ({ request_uri: "urn:example:1" })],
  ["a claims parameter", () => ({ claims: { id_token: { email: null } } })],
  ["an unsupported user_code", () => ({ user_code: "123456" })],
  ["a list as scope", () => ({ scope: ["openid"] })],
  ["a list as acr_values", () => ({ acr_values: ["urn:countersign:acr:session"] })],
  ["an object as login_hint", () => ({ login_hint: { format: "email", email: "ada@example.com" } })],
  ["two hints", () => ({ id_token_hint: "e30.e30." })],
  ["a numeric binding_message", () => ({ binding_message: 1 })],
  ["a NUL in a parameter", () => ({ login_hint: "ada@example.com\0" })],
  ["a requested_expiry of 0 (T54)", () => ({ requested_expiry: 0 })],
  ["a negative requested_expiry (T54)", () => ({ requested_expiry: -5 })],
  ["a requested_expiry that only converts to a number (T54)", () => ({ requested_expiry: "1e3" })],
  ["a boolean requested_expiry (T54)", () => ({ requested_expiry: true })],
  ["a fractional requested_expiry (T54)", () => ({ requested_expiry: 5.5 })],
  [
    "two resources",
    () => ({ resource: ["https://refunds.example", "https://calendar.example"] }),
    "invalid_target",
  ],
  ["another resource", () => ({ resource: "https://calendar.example" }), "invalid_target"],
  [
    "details that are not a list",
    () => ({ authorization_details: action()[0] }),
    "invalid_authorization_details",
  ],
  [
    "an undeclared field",
    () => ({ authorization_details: [{ ...refund, hidden: 1 }] }),
    "invalid_authorization_details",
  ],
  ["an unknown person", () => ({ login_hint: "eve@example.com" }), "unknown_user_id"],
];
describe("signed POST /bc-authorize", () => {
  for (const [name, changed, header] of good)
    test(`accepts a request object with ${name}`, async () => {
      const answer = await send({ request: await sign(claims(changed()), header) });
      assert.equal(answer.status, 200, answer.body.error_description);
      if ("requested_expiry" in changed()) assert.equal(answer.body.expires_in, 30);
    });

  for (const alg of ["PS256", "RS256", "EdDSA"])
    test(`accepts ${alg} of an agent registered for it`, async () => {
      const other = await admit(`signer-${alg}`, alg);
      const answer = await send({ request: await sign(claims({ iss: other.id }), {}, other) }, {}, other);
      assert.equal(answer.status, 200, answer.body.error_description);
    });

  for (const [name, changed, error] of invalid)
    test(`rejects a request object with ${name}, and creates no request`, async () => {
      await refused(send({ request: await sign(claims(changed())) }), error);
    });

  for (const typ of [
    "client-authentication+jwt",
    "at+jwt",
    "dpop+jwt",
    "logout+jwt",
    "",
    5,
    {},
    ["JWT"],
    null,
  ])
    test(`rejects the typ ${JSON.stringify(typ)}`, async () => {
      await refused(send({ request: await sign(claims(), { typ }) }));
    });

  test("rejects duplicate keys and imprecise numbers inside the details (T14)", async () => {
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
    await refused(
      send({ request: await sign(text(`[{${fields},"amount":"1.00","__proto__":{}}]`)) }),
      invalid,
    );
    await refused(send({ request: await sign(text("[]", '"authorization_details":[],')) }), invalid);
    await refused(
      send({ request: await sign(text(`[{${fields},"amount":"1.00"}]`, '"scope":"openid profile",')) }),
    );
    assert.equal((await send({ request: await sign(text(`[{${fields},"amount":"1.00"}]`)) })).status, 200);
  });

  test("rejects a request object that the agent did not sign with its registered algorithm (T46)", async () => {
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

  test("rejects every parameter beside the request object except client authentication (T43, T50)", async () => {
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
    const answer = await endpoints.post("/bc-authorize", { request: await sign(claims()), ...beside });
    assert.equal(answer.status, 401, "by the method that it is registered for, and no other");
    const named = await send({ request: await sign(claims()), client_id: id });
    assert.equal(named.status, 200, named.body.error_description);
  });

  test("requires a request object of an agent registered for signing, and rejects one of any other", async () => {
    const form = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify(action()),
    };
    await refused(send(form));
    await refused(endpoints.ask({ request: await sign(claims({ iss: endpoints.agent.id })) }));
    await refused(endpoints.ask({ request_uri: "urn:example:1" }));
  });
});
