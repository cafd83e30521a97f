/** Tokens bound to a key with DPoP (RFC 9449). */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, decodeJwt, type JWK, type JWTHeaderParameters, UnsecuredJWT } from "jose";
import type { CallResult } from "./call.ts";
import type { Credentials } from "./credential.ts";
import { seconds, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal, type TestServer } from "./test-server.ts";

const agents = [
  { id: "bound", binding: "dpop" },
  { id: "rsa", algorithm: "PS256", binding: "dpop" },
] as const;
const world = await openTestServer({ agents: [...agents] });
const careful = await openTestServer({ agents: [...agents], dpop_nonce: true });

const bound = () => world.agent("bound");
const badProof = [400, "invalid_dpop_proof"];

type Changed = {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Partial<JWTHeaderParameters> & { readonly jwk?: JWK };
};

/** Creates a DPoP proof (RFC 9449 §4.2) for the token endpoint. */
async function proof(
  agent: Credentials,
  { claims = {}, header = {} }: Changed = {},
  place: TestServer = world,
): Promise<string> {
  const own = {
    htm: "POST",
    htu: `${place.issuer}/oauth/token`,
    iat: seconds(),
    jti: randomUUID(),
    ...claims,
  };
  return await signAs(agent, own, { typ: "dpop+jwt", jwk: publicPart(agent.key), kid: undefined, ...header });
}

function publicPart({ kty, crv, x, y, n, e }: JWK): JWK {
  return JSON.parse(JSON.stringify({ kty, crv, x, y, n, e }));
}

/** Redeems an approved request with this proof, or with these headers. */
async function redeem(
  dpop: string | readonly string[] | undefined,
  agent = bound(),
  authReqId?: string,
): Promise<CallResult> {
  const id = authReqId ?? (await world.asked(agent));
  if (authReqId === undefined) await world.allow(id);
  return await world.poll(agent, id, {}, { headers: dpop === undefined ? {} : { dpop } });
}

scenario("metadata lists asymmetric proof algorithms only", ["rfc9449-5.1-1", "rfc9449-11.6-1"], async () => {
  const { dpop_signing_alg_values_supported: algorithms } = await world.metadata();
  assert.ok(algorithms.includes("ES256") && algorithms.includes("PS256"));
  for (const algorithm of algorithms) assert.match(algorithm, /^(ES|PS|RS|Ed)/);
});

scenario(
  "a proof binds the token to its key, in token type, access token and introspection",
  ["rfc9449-5-1", "rfc9449-6.1-1", "rfc9449-6.2-1"],
  async () => {
    for (const agent of [bound(), world.agent("rsa"), world.agent("agent")]) {
      const { status, body } = await redeem(await proof(agent), agent);
      assert.deepEqual([status, body.token_type], [200, "DPoP"]);
      const jkt = await calculateJwkThumbprint(publicPart(agent.key));
      assert.deepEqual(decodeJwt(body.access_token).cnf, { jkt });
      const told = await world.introspect("refunds", body.access_token);
      assert.deepEqual([told.body.cnf, told.body.token_type], [{ jkt }, "DPoP"]);
    }
  },
);

scenario("an agent registered for DPoP gets no token without a proof", ["rfc9449-5.2-1"], async () => {
  const id = await world.asked(bound());
  await world.allow(id);
  const without = await redeem(undefined, bound(), id);
  assert.equal(without.status, 400);
  assert.equal(without.body.access_token, undefined);
  assert.equal((await redeem(await proof(bound()), bound(), id)).status, 200);
});

scenario(
  "a proof with another type, method, URL, time or format is invalid_dpop_proof, and the approval stays valid",
  [
    "rfc9449-4.3-2",
    "rfc9449-4.3-3",
    "rfc9449-4.3-4",
    "rfc9449-4.3-6",
    "rfc9449-4.3-8",
    "rfc9449-4.3-9",
    "rfc9449-4.3-11",
    "rfc9449-5-2",
    "rfc9449-11.1-1",
  ],
  async () => {
    const id = await world.asked(bound());
    await world.allow(id);
    const good = await proof(bound());
    const other = publicPart(world.agent("rsa").key);
    const wrong: Readonly<Record<string, string | readonly string[]>> = {
      "no JWT": "x",
      "two in one header": `${good},${good}`,
      "without jti": await proof(bound(), { claims: { jti: undefined } }),
      "without htm": await proof(bound(), { claims: { htm: undefined } }),
      "without htu": await proof(bound(), { claims: { htu: undefined } }),
      "without iat": await proof(bound(), { claims: { iat: undefined } }),
      "another typ": await proof(bound(), { header: { typ: "jwt" } }),
      "another key than it carries": await proof(bound(), { header: { jwk: other } }),
      mangled: `${good.slice(0, -8)}AAAAAAAA`,
      "another method": await proof(bound(), { claims: { htm: "GET" } }),
      "another endpoint": await proof(bound(), { claims: { htu: `${world.issuer}/bc-authorize` } }),
      "another host": await proof(bound(), { claims: { htu: "https://other.example/oauth/token" } }),
      "an hour old": await proof(bound(), { claims: { iat: seconds() - 3600 } }),
      "of tomorrow": await proof(bound(), { claims: { iat: seconds() + 86_400 } }),
    };
    for (const [what, dpop] of Object.entries(wrong))
      assert.deepEqual(refusal(await redeem(dpop, bound(), id)), badProof, what);
    assert.equal((await redeem(await proof(bound()), bound(), id)).status, 200);
  },
);

scenario("more than one DPoP header is refused", ["rfc9449-4.3-1"], async () => {
  const two = [await proof(bound()), await proof(bound())];
  assert.deepEqual(refusal(await redeem(two)), badProof);
});

scenario(
  "a proof that is unsigned, or signed with a shared secret, is refused",
  ["rfc9449-4.3-5", "rfc9449-11.6-1"],
  async () => {
    const [, payload] = (await proof(bound())).split(".");
    const encode = (header: object) => Buffer.from(JSON.stringify(header)).toString("base64url");
    const jwk = publicPart(bound().key);
    const wrong = [
      new UnsecuredJWT({ htm: "POST" }).encode(),
      `${encode({ typ: "dpop+jwt", alg: "none", jwk })}.${payload}.`,
      `${encode({ typ: "dpop+jwt", alg: "HS256", jwk })}.${payload}.AAAA`,
      `${encode({ typ: "dpop+jwt", alg: "HS256", jwk: { kty: "oct", k: "AAAA" } })}.${payload}.AAAA`,
    ];
    for (const dpop of wrong) assert.deepEqual(refusal(await redeem(dpop)), badProof);
  },
);

scenario("a proof that carries a private key is refused", ["rfc9449-4.3-7"], async () => {
  const { kty, crv, x, y, d } = bound().key;
  const leaked = await proof(bound(), { header: { jwk: { kty, crv, x, y, d } as JWK } });
  assert.deepEqual(refusal(await redeem(leaked)), badProof);
});

scenario(
  "query, fragment, default port and case of the host are ignored in htu",
  ["rfc9449-4.3-9", "rfc9449-4.3-13"],
  async () => {
    const htu = `${world.issuer.replace("localhost", "LOCALHOST")}/oauth/token?x=1#y`;
    assert.equal((await redeem(await proof(bound(), { claims: { htu } }))).status, 200);
  },
);

scenario("a proof is accepted once", ["rfc9449-11.1-2"], async () => {
  const id = await world.asked(bound());
  const once = await proof(bound());
  assert.equal((await redeem(once, bound(), id)).body.error, "authorization_pending");
  await world.allow(id);
  assert.deepEqual(refusal(await redeem(once, bound(), id)), badProof);
  await world.restart();
  assert.deepEqual(refusal(await redeem(once, bound(), id)), badProof);
  assert.equal((await redeem(await proof(bound()), bound(), id)).status, 200);
});

scenario(
  "with required nonces, a proof without a valid one is use_dpop_nonce, with a new nonce",
  ["rfc9449-4.3-10", "rfc9449-8-1", "rfc9449-8-2", "rfc9449-8.2-1", "rfc9449-11.3-1"],
  async () => {
    const agent = careful.agent("bound");
    const id = await careful.asked(agent);
    await careful.allow(id);
    const send = async (claims: Changed["claims"]) =>
      await careful.poll(
        agent,
        id,
        {},
        { headers: { dpop: await proof(agent, { claims: claims ?? {} }, careful) } },
      );
    const first = await send({});
    assert.deepEqual(refusal(first), [400, "use_dpop_nonce"]);
    const nonce = String(first.headers["dpop-nonce"]);
    assert.match(nonce, /^[\x21\x23-\x5b\x5d-\x7e]{16,}$/);
    assert.ok(!nonce.includes(","));
    for (const wrong of ["x", `${nonce}x`, "", undefined])
      assert.deepEqual(refusal(await send({ nonce: wrong })), [400, "use_dpop_nonce"]);
    assert.equal((await send({ nonce })).status, 200);
    // Later nonces differ.
    careful.advanceClock(3_600_000);
    const later = await careful.asked(agent);
    const again = await careful.poll(
      agent,
      later,
      {},
      { headers: { dpop: await proof(agent, {}, careful) } },
    );
    assert.notEqual(again.headers["dpop-nonce"], nonce);
  },
);

/** Creates a proof for a call of the API, with `ath` and `htu`. */
async function use(
  token: string,
  dpop: string | undefined,
  scheme = "DPoP",
  { resource, call }: TestServer = world,
): Promise<CallResult> {
  return await call(`${resource.url}/calendar.clear`, {
    headers: { authorization: `${scheme} ${token}`, ...(dpop !== undefined && { dpop }) },
  });
}
async function proofOfUse(token: string, agent = bound(), claims: Changed["claims"] = {}): Promise<string> {
  const ath = createHash("sha256").update(token).digest("base64url");
  return await proof(agent, {
    claims: { htm: "GET", htu: `${world.resource.url}/calendar.clear`, ath, ...claims },
  });
}
async function boundToken(): Promise<string> {
  const id = await world.asked(bound(), { scope: "openid calendar.clear" });
  await world.allow(id);
  const { status, body } = await redeem(await proof(bound()), bound(), id);
  assert.equal(status, 200);
  world.advanceClock(1000);
  return body.access_token;
}

scenario(
  "an API accepts a bound token only with a proof by its key for this token",
  ["rfc9449-4.3-12", "rfc9449-7.1-1"],
  async () => {
    const token = await boundToken();
    const wrong = {
      "no proof": undefined,
      "another key": await proofOfUse(token, world.agent("rsa")),
      "another token": await proofOfUse(token, bound(), { ath: "x" }),
      "no token": await proofOfUse(token, bound(), { ath: undefined }),
      "another method": await proofOfUse(token, bound(), { htm: "POST" }),
      "another URL": await proofOfUse(token, bound(), { htu: `${world.resource.url}/calendar.leave` }),
    };
    for (const [what, dpop] of Object.entries(wrong))
      assert.equal((await use(token, dpop)).status, 401, what);
    const good = await use(token, await proofOfUse(token));
    assert.equal(good.status, 200, good.text);
  },
);

scenario("a bound token is refused as a bearer token", ["rfc9449-7.2-1"], async () => {
  const token = await boundToken();
  assert.equal((await use(token, undefined, "Bearer")).status, 401);
  assert.equal((await use(token, await proofOfUse(token), "Bearer")).status, 401);
  world.advanceClock(60_000);
});

scenario("the API's challenge contains scheme, error and algorithms", ["rfc9449-7.1-2"], async () => {
  const token = await boundToken();
  const challenge = String(
    (await use(token, await proofOfUse(token, world.agent("rsa")))).headers["www-authenticate"],
  );
  assert.match(challenge, /DPoP/);
  assert.match(challenge, /error="invalid_/);
  assert.match(challenge, /algs="[^"]*ES256/);
});

scenario("an API that requires nonces returns one", ["rfc9449-9-1"], async () => {
  const agent = careful.agent("bound");
  const id = await careful.asked(agent, { scope: "openid calendar.clear" });
  await careful.allow(id);
  const redeemed = async (claims: Changed["claims"]) =>
    await careful.poll(
      agent,
      id,
      {},
      { headers: { dpop: await proof(agent, { claims: claims ?? {} }, careful) } },
    );
  const first = await redeemed({});
  const { access_token: token } = (await redeemed({ nonce: first.headers["dpop-nonce"] })).body;
  const htu = `${careful.resource.url}/calendar.clear`;
  const without = await use(token, await proofOfUse(token, agent, { htu }), "DPoP", careful);
  assert.equal(without.status, 401);
  assert.match(String(without.headers["www-authenticate"]), /use_dpop_nonce/);
  const nonce = without.headers["dpop-nonce"];
  const good = await use(token, await proofOfUse(token, agent, { htu, nonce }), "DPoP", careful);
  assert.equal(good.status, 200, good.text);
});
