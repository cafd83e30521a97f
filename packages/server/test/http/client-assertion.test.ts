/** Clients that prove themselves by a JWT, signed with a key of their own (`private_key_jwt`) or with their secret. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { basic, type Deployment, deploy, issuer } from "@countersign/testing/server/deployment";
import { base64url, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { createSecretSeal } from "../../src/crypto/seal.ts";
import { addAgent, type NewAgent } from "../../src/usecase/client/client-lifecycle.ts";

type Claims = Record<string, unknown>;
type Client = {
  readonly id: string;
  readonly algorithm: string;
  readonly sign: (claims: Claims, header?: Claims) => Promise<string>;
};

const pair = await generateKeyPair("ES256", { extractable: true });
const publicJwk = { ...(await exportJWK(pair.publicKey)), kid: "k1" };
const other = await generateKeyPair("ES256", { extractable: true });

let deployment: Deployment;
let secret = "";
before(async () => {
  deployment = await deploy();
  await add({ id: "private_key_jwt", credential: { method: "private_key_jwt" }, ...keys(publicJwk) });
  const { seal } = createSecretSeal(deployment.rootKey);
  secret = await add({ id: "client_secret_jwt", credential: { method: "client_secret_jwt", seal } });
});
after(async () => {
  assert.deepEqual(deployment.faults, []);
  await deployment.close();
});

async function add(agent: Omit<NewAgent, "name" | "types">): Promise<string> {
  const added = await addAgent(deployment.server.store, { name: "JWT", types: ["refund"], ...agent });
  assert.ok(!("refused" in added));
  return added.secret ?? "";
}

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

const seconds = () => Math.floor(deployment.clock.now / 1000);

function claimsOf(id: string, changed: Claims = {}): Claims {
  const now = seconds();
  return { iss: id, sub: id, aud: issuer, iat: now, exp: now + 60, jti: crypto.randomUUID(), ...changed };
}

function pollWith(client_assertion: string, changed: Record<string, string> = {}) {
  const client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  const form = { grant_type: cibaGrantType, auth_req_id: "x.y", client_assertion, client_assertion_type };
  return deployment.post("/oauth/token", { ...form, ...changed });
}

/** Authenticated, and then told that there is no such request. */
async function accepted(assertion: string, why?: string): Promise<void> {
  assert.equal((await pollWith(assertion)).body.error, "invalid_grant", why);
}

async function refused(assertion: string, why?: string): Promise<void> {
  const answer = await pollWith(assertion);
  assert.deepEqual([answer.status, answer.body.error], [401, "invalid_client"], why);
}

/** What a library would not sign: a header of its own over a signature that was made for another. */
async function resigned(client: Client, header: Claims): Promise<string> {
  const [, payload, signature] = (await client.sign(claimsOf(client.id))).split(".");
  return `${base64url.encode(JSON.stringify(header))}.${payload}.${signature}`;
}

type Bad = readonly [string, (client: Client) => Promise<string>];
const claimed = (changed: () => Claims): Bad[1] => {
  return (client) => client.sign(claimsOf(client.id, changed()));
};
const bad: readonly Bad[] = [
  ["T46: for another audience", claimed(() => ({ aud: "https://other.example" }))],
  [
    "T55: for an audience list that also names someone else",
    claimed(() => ({ aud: [issuer, "https://other.example"] })),
  ],
  ["T55: good for ten years", claimed(() => ({ exp: seconds() + 315_360_000 }))],
  ["T55: good for eleven minutes", claimed(() => ({ exp: seconds() + 660 }))],
  ["T55: made an hour ago", claimed(() => ({ iat: seconds() - 3600 }))],
  ["T55: with an empty jti", claimed(() => ({ jti: "" }))],
  ["with a jti that is a number", claimed(() => ({ jti: 5 }))],
  ["without a jti", claimed(() => ({ jti: undefined }))],
  ["without an exp", claimed(() => ({ exp: undefined }))],
  ["that has expired", claimed(() => ({ exp: seconds() - 60 }))],
  ["that is not yet good", claimed(() => ({ nbf: seconds() + 60 }))],
  ["whose subject is another", claimed(() => ({ sub: "agent-1" }))],
  ["whose issuer is another", claimed(() => ({ iss: "agent-1" }))],
  ["whose issuer is nobody", claimed(() => ({ iss: "nobody", sub: "nobody" }))],
  ["with an audience that is no text", claimed(() => ({ aud: [5] }))],
  ["with an empty list of audiences", claimed(() => ({ aud: [] }))],
  ["with an audience that only looks like a list", claimed(() => ({ aud: { length: 1 } }))],
  ["with an issuer that is no text", claimed(() => ({ iss: { id: "private_key_jwt" } }))],
  [
    "signed by another key",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "ES256" })
        .sign(other.privateKey),
  ],
  [
    "signed with another secret",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "HS256" })
        .sign(new Uint8Array(32)),
  ],
  ["T46: with alg none", async (client) => new UnsecuredJWT(claimsOf(client.id) as JWTPayload).encode()],
  [
    "T46: signed with the public key as an HMAC secret",
    (client) =>
      new SignJWT(claimsOf(client.id) as JWTPayload)
        .setProtectedHeader({ alg: "HS256" })
        .sign(new TextEncoder().encode(JSON.stringify(publicJwk))),
  ],
  [
    "T46: that was signed to be a request object",
    (client) => client.sign(claimsOf(client.id), { typ: "oauth-authz-req+jwt" }),
  ],
  [
    "T46: that was signed to be a DPoP proof",
    (client) => client.sign(claimsOf(client.id), { typ: "dpop+jwt" }),
  ],
  ["with a typ that is no text", (client) => client.sign(claimsOf(client.id), { typ: 5 })],
  [
    "with a crit that nobody knows",
    (client) => resigned(client, { alg: client.algorithm, crit: ["x"], x: 1 }),
  ],
  ["whose header is no object", (client) => resigned(client, [] as never)],
  ["whose algorithm nobody knows", (client) => resigned(client, { alg: "ES257" })],
  ["that is no JWT", async () => "e30.e30"],
  ["that is five parts", async () => "a.b.c.d.e"],
];

for (const client of clients) {
  for (const [name, make] of bad)
    test(`${client.id}: an assertion ${name} is invalid_client`, async () => refused(await make(client)));

  test(`${client.id}: accepted for the issuer, with and without a slash, and for each endpoint`, async () => {
    for (const aud of [issuer, `${issuer}/`, `${issuer}/oauth/token`, `${issuer}/bc-authorize`, [issuer]])
      await accepted(await client.sign(claimsOf(client.id, { aud })), String(aud));
  });

  test(`${client.id}: a time with a fraction, and a typ of its own, are as good as without`, async () => {
    const exp = deployment.clock.now / 1000 + 60.1234567;
    await accepted(await client.sign(claimsOf(client.id, { exp })));
    for (const typ of ["JWT", "client-authentication+jwt", "application/client-authentication+jwt"])
      await accepted(await client.sign(claimsOf(client.id), { typ }), typ);
  });

  test(`${client.id}: T46, T47: of thirty parallel uses of one assertion one is accepted, and none after a restart`, async () => {
    const once = await client.sign(claimsOf(client.id));
    const answers = await Promise.all(Array.from({ length: 30 }, () => pollWith(once)));
    assert.equal(answers.filter(({ status }) => status === 400).length, 1);
    assert.equal(answers.filter(({ status }) => status === 401).length, 29);
    await deployment.restart();
    await refused(once);
  });

  test(`${client.id}: a client_id beside the assertion must be the same`, async () => {
    const assertion = await client.sign(claimsOf(client.id));
    assert.equal((await pollWith(assertion, { client_id: deployment.agent.id })).status, 401);
    assert.equal((await pollWith(assertion, { client_id: client.id })).body.error, "invalid_grant");
  });

  test(`${client.id}: an assertion without its type, or of another type, is invalid_request`, async () => {
    for (const client_assertion_type of ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"]) {
      const answer = await pollWith(await client.sign(claimsOf(client.id)), { client_assertion_type });
      assert.deepEqual([answer.status, answer.body.error], [400, "invalid_request"]);
    }
  });
}

test("T62: a secret that signs is not accepted as it is, and a client with a plain secret cannot sign with it", async () => {
  const posted = { grant_type: "x", client_id: "client_secret_jwt", client_secret: secret };
  assert.equal((await deployment.post("/oauth/token", posted)).status, 401);
  const headers = basic({ id: "client_secret_jwt", secret });
  assert.equal((await deployment.post("/oauth/token", { grant_type: "x" }, headers)).status, 401);
  const plain = await new SignJWT(claimsOf(deployment.agent.id) as JWTPayload)
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(deployment.agent.secret));
  await refused(plain);
});

test("private_key_jwt: with a kid the key that it names is asked, without one each that fits", async () => {
  await add({
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

test("private_key_jwt: an agent that is registered for one algorithm uses that one", async () => {
  const rsa = await generateKeyPair("PS256", { extractable: true });
  const jwk = await exportJWK(rsa.publicKey);
  const credential = { method: "private_key_jwt" } as const;
  await add({ id: "jwt-ps", credential, assertionAlgorithm: "PS256", ...keys(jwk, publicJwk) });
  const sign = (alg: string, key: CryptoKey) =>
    new SignJWT(claimsOf("jwt-ps") as JWTPayload).setProtectedHeader({ alg }).sign(key);
  await accepted(await sign("PS256", rsa.privateKey));
  await refused(await sign("ES256", pair.privateKey));
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", rsa.privateKey);
  const pkcs1 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  await refused(await sign("RS256", await crypto.subtle.importKey("pkcs8", pkcs8, pkcs1, false, ["sign"])));
});

test("client_secret_jwt: HS256 is the one algorithm, because our secrets are too short for longer hashes", async () => {
  for (const size of [256, 384, 512]) {
    const parts = [{ alg: `HS${size}` }, claimsOf("client_secret_jwt")];
    const signed = parts.map((part) => base64url.encode(JSON.stringify(part))).join(".");
    const mac = createHmac(`sha${size}`, secret).update(signed).digest("base64url");
    await (size === 256 ? accepted : refused)(`${signed}.${mac}`, `${size}`);
  }
});

test("client_secret_jwt: the secret is kept sealed, never as a hash or in clear", async () => {
  const held = await deployment.server.store.read("agent", "client_secret_jwt");
  const text = JSON.stringify(held?.record);
  assert.ok(!text.includes(secret) && !text.includes("secretHash"));
});
