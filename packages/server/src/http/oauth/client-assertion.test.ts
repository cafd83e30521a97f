/** Client authentication by JWT at the token endpoint: `private_key_jwt` and `client_secret_jwt` (RFC 7523). */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { issuer, toBasicAuth } from "@countersign/testing/server/deployment";
import { base64url, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";

type Claims = Record<string, unknown>;
type Client = {
  readonly id: string;
  readonly algorithm: string;
  readonly sign: (claims: Claims, header?: Claims) => Promise<string>;
};

const pair = await generateKeyPair("ES256", { extractable: true });
const publicJwk = { ...(await exportJWK(pair.publicKey)), kid: "k1" };
const other = await generateKeyPair("ES256", { extractable: true });

let secret = "";
const endpoints = useEndpoints({
  setUp: async ({ addAgent, deps }) => {
    await addAgent({ id: "private_key_jwt", credential: { method: "private_key_jwt" }, ...keys(publicJwk) });
    const { seal } = deps.secrets;
    ({ secret } = await addAgent({
      id: "client_secret_jwt",
      credential: { method: "client_secret_jwt", seal },
    }));
  },
});

function keys(...jwks: object[]) {
  return { keys: { from: "registration" as const, jwks: jwks as never } };
}

const clients: readonly Client[] = [
  {
    id: "private_key_jwt",
    algorithm: "ES256",
    sign: (claims, header) =>
      new SignJWT(claims).setProtectedHeader({ alg: "ES256", ...header }).sign(pair.privateKey),
  },
  {
    id: "client_secret_jwt",
    algorithm: "HS256",
    sign: (claims, header) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: "HS256", ...header })
        .sign(new TextEncoder().encode(secret)),
  },
];

const seconds = () => Math.floor(endpoints.clock.now / 1000);

function claimsOf(id: string, changed: Claims = {}): Claims {
  const now = seconds();
  return { iss: id, sub: id, aud: issuer, iat: now, exp: now + 60, jti: crypto.randomUUID(), ...changed };
}

function pollWith(client_assertion: string, changed: Record<string, string> = {}) {
  const client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  const form = { grant_type: cibaGrantType, auth_req_id: "x.y", client_assertion, client_assertion_type };
  return endpoints.post("/oauth/token", { ...form, ...changed });
}

/** Expects success of client authentication: the error is about the unknown auth_req_id. */
async function accepted(assertion: string, why?: string): Promise<void> {
  assert.equal((await pollWith(assertion)).body.error, "invalid_grant", why);
}

async function refused(assertion: string, why?: string): Promise<void> {
  const answer = await pollWith(assertion);
  assert.deepEqual([answer.status, answer.body.error], [401, "invalid_client"], why);
}

/** Replaces the header of a signed assertion, which no library does. */
async function resigned(client: Client, header: Claims): Promise<string> {
  const [, payload, signature] = (await client.sign(claimsOf(client.id))).split(".");
  return `${base64url.encode(JSON.stringify(header))}.${payload}.${signature}`;
}

type Invalid = readonly [string, (client: Client) => Promise<string>];
const claimed = (changed: () => Claims): Invalid[1] => {
  return (client) => client.sign(claimsOf(client.id, changed()));
};
const invalid: readonly Invalid[] = [
  ["another audience (T46)", claimed(() => ({ aud: "https://other.example" }))],
  [
    "an audience list with another audience (T55)",
    claimed(() => ({ aud: [issuer, "https://other.example"] })),
  ],
  ["a lifetime of ten years (T55)", claimed(() => ({ exp: seconds() + 315_360_000 }))],
  ["a lifetime of eleven minutes (T55)", claimed(() => ({ exp: seconds() + 660 }))],
  ["an iat of an hour ago (T55)", claimed(() => ({ iat: seconds() - 3600 }))],
  ["an empty jti (T55)", claimed(() => ({ jti: "" }))],
  ["a numeric jti", claimed(() => ({ jti: 5 }))],
  ["no jti", claimed(() => ({ jti: undefined }))],
  ["no exp", claimed(() => ({ exp: undefined }))],
  ["an exp in the past", claimed(() => ({ exp: seconds() - 60 }))],
  ["an nbf in the future", claimed(() => ({ nbf: seconds() + 60 }))],
  ["another client as sub", claimed(() => ({ sub: "agent-1" }))],
  ["another client as iss", claimed(() => ({ iss: "agent-1" }))],
  ["an unknown client as iss and sub", claimed(() => ({ iss: "nobody", sub: "nobody" }))],
  ["a numeric audience", claimed(() => ({ aud: [5] }))],
  ["an empty audience list", claimed(() => ({ aud: [] }))],
  ["an audience object with a length", claimed(() => ({ aud: { length: 1 } }))],
  ["an object as iss", claimed(() => ({ iss: { id: "private_key_jwt" } }))],
  [
    "the signature of another key",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "ES256" })
        .sign(other.privateKey),
  ],
  [
    "the HMAC of another secret",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "HS256" })
        .sign(new Uint8Array(32)),
  ],
  ["alg none (T46)", async (client) => new UnsecuredJWT(claimsOf(client.id) as JWTPayload).encode()],
  [
    "an HMAC with the public key as its secret (T46)",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "HS256" })
        .sign(new TextEncoder().encode(JSON.stringify(publicJwk))),
  ],
  [
    "the typ of a request object (T46)",
    (client) => client.sign(claimsOf(client.id), { typ: "oauth-authz-req+jwt" }),
  ],
  ["the typ of a DPoP proof (T46)", (client) => client.sign(claimsOf(client.id), { typ: "dpop+jwt" })],
  ["a numeric typ", (client) => client.sign(claimsOf(client.id), { typ: 5 })],
  ["an unknown crit", (client) => resigned(client, { alg: client.algorithm, crit: ["x"], x: 1 })],
  ["a header that is not an object", (client) => resigned(client, [] as never)],
  ["an unknown algorithm", (client) => resigned(client, { alg: "ES257" })],
  ["two parts", async () => "e30.e30"],
  ["five parts", async () => "a.b.c.d.e"],
];

for (const client of clients)
  describe(`client authentication by ${client.id}`, () => {
    for (const [name, make] of invalid)
      test(`rejects an assertion with ${name}`, async () => refused(await make(client)));

    test("accepts the issuer, with and without a slash, and each endpoint as the audience", async () => {
      for (const aud of [issuer, `${issuer}/`, `${issuer}/oauth/token`, `${issuer}/bc-authorize`, [issuer]])
        await accepted(await client.sign(claimsOf(client.id, { aud })), String(aud));
    });

    test("accepts times with a fraction and the typ values of client assertions", async () => {
      const exp = endpoints.clock.now / 1000 + 60.1234567;
      await accepted(await client.sign(claimsOf(client.id, { exp })));
      for (const typ of ["JWT", "client-authentication+jwt", "application/client-authentication+jwt"])
        await accepted(await client.sign(claimsOf(client.id), { typ }), typ);
    });

    test("rejects a client_id parameter that differs from the issuer of the assertion", async () => {
      const assertion = await client.sign(claimsOf(client.id));
      assert.equal((await pollWith(assertion, { client_id: endpoints.agent.id })).status, 401);
      assert.equal((await pollWith(assertion, { client_id: client.id })).body.error, "invalid_grant");
    });

    test("rejects a missing and an unknown client_assertion_type with invalid_request", async () => {
      for (const client_assertion_type of ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"]) {
        const answer = await pollWith(await client.sign(claimsOf(client.id)), { client_assertion_type });
        assert.deepEqual([answer.status, answer.body.error], [400, "invalid_request"]);
      }
    });
  });

describe("client authentication by JWT", () => {
  test("rejects a signing secret sent as a password, and an assertion signed with a password (T62)", async () => {
    const posted = { grant_type: "x", client_id: "client_secret_jwt", client_secret: secret };
    assert.equal((await endpoints.post("/oauth/token", posted)).status, 401);
    const headers = toBasicAuth({ id: "client_secret_jwt", secret });
    assert.equal((await endpoints.post("/oauth/token", { grant_type: "x" }, headers)).status, 401);
    const plain = await new SignJWT(claimsOf(endpoints.agent.id) as JWTPayload)
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(endpoints.agent.secret));
    await refused(plain);
  });

  test("uses the key that kid names, or tries every matching key (private_key_jwt)", async () => {
    await endpoints.addAgent({
      id: "jwt-two",
      credential: { method: "private_key_jwt" },
      ...keys({ ...(await exportJWK(other.publicKey)), kid: "k0" }, publicJwk),
    });
    const sign = (header?: Claims) => clients[0]!.sign(claimsOf("jwt-two"), header);
    await accepted(await sign());
    await accepted(await sign({ kid: "k1" }));
    await refused(await sign({ kid: "k0" }));
    await refused(await sign({ kid: "k2" }));
  });

  test("rejects an algorithm other than the registered one (private_key_jwt)", async () => {
    const rsa = await generateKeyPair("PS256", { extractable: true });
    const jwk = await exportJWK(rsa.publicKey);
    const credential = { method: "private_key_jwt" } as const;
    await endpoints.addAgent({
      id: "jwt-ps",
      credential,
      assertionAlgorithm: "PS256",
      ...keys(jwk, publicJwk),
    });
    const sign = (alg: string, key: CryptoKey) =>
      new SignJWT(claimsOf("jwt-ps") as JWTPayload).setProtectedHeader({ alg }).sign(key);
    await accepted(await sign("PS256", rsa.privateKey));
    await refused(await sign("ES256", pair.privateKey));
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", rsa.privateKey);
    const pkcs1 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    await refused(await sign("RS256", await crypto.subtle.importKey("pkcs8", pkcs8, pkcs1, false, ["sign"])));
  });

  test("accepts HS256 only: the secrets are too short for longer hashes (client_secret_jwt)", async () => {
    for (const size of [256, 384, 512]) {
      const parts = [{ alg: `HS${size}` }, claimsOf("client_secret_jwt")];
      const signed = parts.map((part) => base64url.encode(JSON.stringify(part))).join(".");
      const mac = createHmac(`sha${size}`, secret).update(signed).digest("base64url");
      await (size === 256 ? accepted : refused)(`${signed}.${mac}`, `${size}`);
    }
  });

  test("stores the secret encrypted, neither hashed nor in clear (client_secret_jwt)", async () => {
    const held = await endpoints.deps.store.read("agent", "client_secret_jwt");
    const text = JSON.stringify(held?.record);
    assert.ok(!text.includes(secret) && !text.includes("secretHash"));
  });
});
