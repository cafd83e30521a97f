/** DPoP proofs at the token endpoint (RFC 9449 §4.3), without a server: which are accepted and how others are rejected. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { cibaGrantType, proofAlgorithms } from "@countersign/protocol";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { type HttpReply, issuer, toBasicAuth } from "@countersign/testing/server/deployment";
import { createProofKey, type ProofKey } from "@countersign/testing/server/dpop-key";
import { SignJWT, UnsecuredJWT } from "jose";

const htu = `${issuer}/oauth/token`;
const endpoints = useEndpoints({ config: { limits: { max_pending_per_agent: 100 } } });
let key: ProofKey;
before(async () => {
  key = await createProofKey();
});

const poll = (authReqId: string, proof: string, by = endpoints.agent): Promise<HttpReply> =>
  endpoints.post(
    "/oauth/token",
    { grant_type: cibaGrantType, auth_req_id: authReqId },
    { ...toBasicAuth(by), dpop: proof },
  );
const prove = (changed: Record<string, unknown> = {}, header = {}, by = key) =>
  by.prove({ htu, now: endpoints.clock.now, ...changed }, header);
const seconds = () => endpoints.clock.now / 1000;

const secret = new TextEncoder().encode("a shared secret of more than 32 bytes");
const claims = () => ({ htm: "POST", htu, iat: seconds(), jti: "x" });

const invalid: readonly (readonly [string, () => Promise<string> | string])[] = [
  ["an empty header", () => ""],
  ["a header that is not a JWT", () => "proof"],
  ["two proofs in one header", async () => `${await prove()}, ${await prove()}`],
  ["a proof of more than 8192 characters", () => prove({ jti: "j".repeat(9000) })],
  ["another method", () => prove({ htm: "GET" })],
  ["another endpoint", () => prove({ htu: `${issuer}/bc-authorize` })],
  ["another host", () => prove({ htu: "https://evil.example/oauth/token" })],
  ["an iat 90 seconds ago", () => prove({ iat: seconds() - 90 })],
  ["an iat 31 seconds ahead", () => prove({ iat: seconds() + 31 })],
  ["no iat", () => prove({ iat: undefined })],
  ["no jti", () => prove({ jti: undefined })],
  ["no htm", () => prove({ htm: undefined })],
  ["another typ", () => prove({}, { typ: "JWT" })],
  ["no typ", () => prove({}, { typ: undefined })],
  ["no jwk", () => prove({}, { jwk: undefined })],
  ["the jwk of another key", async () => prove({}, { jwk: (await createProofKey()).publicJwk })],
  ["a private jwk", () => prove({}, { jwk: key.privateJwk })],
  ["an unknown crit", () => prove({}, { crit: ["x"], x: 1 }).catch(() => "a.b.c")],
  ["alg none", () => `${new UnsecuredJWT(claims()).encode()}AAAA`],
  [
    "an HMAC",
    () => {
      const jwk = { kty: "oct", k: Buffer.from(secret).toString("base64url") };
      return new SignJWT(claims()).setProtectedHeader({ alg: "HS256", typ: "dpop+jwt", jwk }).sign(secret);
    },
  ],
  ["another signature", async () => `${(await prove()).slice(0, -6)}AAAAAA`],
  ["an unsupported algorithm", async () => prove({}, {}, await createProofKey("ES512"))],
];

describe("DPoP proof", () => {
  for (const [name, createProof] of invalid)
    test(`rejects ${name}, and does not count the poll`, async () => {
      const authReqId = await endpoints.askPending();
      const { status, body } = await poll(authReqId, await createProof());
      assert.deepEqual([status, body.error], [400, "invalid_dpop_proof"]);
      assert.ok(body.error_description);
      assert.equal((await poll(authReqId, await prove())).body.error, "authorization_pending");
    });

  for (const algorithm of proofAlgorithms)
    test(`accepts ${algorithm}`, async () => {
      const proof = await prove({}, {}, await createProofKey(algorithm));
      assert.equal((await poll(await endpoints.askPending(), proof)).body.error, "authorization_pending");
    });

  test("binds the issued token to the key", async () => {
    const authReqId = await endpoints.askPending();
    await endpoints.approve(authReqId);
    assert.equal((await poll(authReqId, await prove())).body.token_type, "DPoP");
  });

  test("rejects the same jti again under the same key only", async () => {
    const authReqId = await endpoints.askPending();
    const first = await poll(authReqId, await prove({ jti: "same" }));
    assert.equal(first.body.error, "authorization_pending");
    const replayed = await poll(authReqId, await prove({ jti: "same" }));
    assert.match(replayed.body.error_description, /used before/);
    const other = await prove({ jti: "same" }, {}, await createProofKey());
    assert.equal((await poll(authReqId, other)).body.error, "slow_down");
  });

  test("is not used up by a caller that fails to authenticate", async () => {
    const authReqId = await endpoints.askPending();
    const proof = await prove();
    const stranger = { id: endpoints.agent.id, secret: "guessed" };
    assert.equal((await poll(authReqId, proof, stranger)).body.error, "invalid_client");
    assert.equal((await poll(authReqId, proof)).body.error, "authorization_pending");
  });

  test("is ignored at /bc-authorize, which issues nothing", async () => {
    assert.equal((await endpoints.ask({}, { dpop: "nonsense" })).status, 200);
  });

  test("may have a nonce where none is required", async () => {
    const proof = await prove({ nonce: "old" });
    assert.equal((await poll(await endpoints.askPending(), proof)).body.error, "authorization_pending");
  });
});
