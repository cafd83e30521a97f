/** Tokens bound to a key or a certificate: a call without the key or the certificate is rejected before the spend. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { type JsonObject, proofAlgorithms } from "@countersign/protocol";
import { createCertificateAuthority, createSelfSigned } from "@countersign/testing/server/certificate";
import { createProofKey, type ProofClaims, type ProofKey } from "@countersign/testing/server/dpop-key";
import fc from "fast-check";
import { UnsecuredJWT } from "jose";
import { audience, type StandIn, standIn, testClock } from "../test/stand-in.ts";
import {
  type Call,
  createVerifier,
  type Rejection,
  type Verifier,
  type VerifierOptions,
} from "./verifier.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
let verifier: Verifier;
let key: ProofKey;
let token: string;
const refund = { type: "refund", order: "A-1001", amount: "10000.00" };
const url = "https://payments.example/refunds";

const newVerifier = (options?: Partial<VerifierOptions>) =>
  createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "payments",
    clientSecret: "s3cret",
    clock,
    ...options,
  });
const issue = (cnf: JsonObject) => stand.issue(refund, { cnf });
const prove = (changed: Partial<ProofClaims> = {}, header = {}) =>
  key.prove({ htu: url, now: clock.at, token, ...changed }, header);
const call = (proof?: string, changed: Partial<Call> & { authorization?: string } = {}): Call => {
  const { authorization = `DPoP ${token}`, ...rest } = changed;
  const headers = new Headers({ authorization, ...(proof !== undefined && { dpop: proof }) });
  return { headers, method: "POST", url, ...rest };
};
async function rejected(presented: Call | string, by = verifier): Promise<Rejection> {
  const answer = await by.check(presented, () => assert.fail("the action was built"));
  assert(answer.outcome === "rejected");
  assert.equal(stand.spends.length, 0);
  return answer;
}
const challengeOf = ({ headers }: Rejection) => headers["www-authenticate"] ?? "";

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = testClock();
  stand.spends.length = 0;
  verifier = newVerifier();
  key = await createProofKey();
  token = await issue({ jkt: key.jkt });
});

describe("bound tokens", () => {
  test("accepts a bound token with a proof for this call; a Fetch request is such a call", async () => {
    assert.equal((await verifier.check(call(await prove()), refund)).outcome, "checked");
    const request = new Request(`${url}?fast=1`, {
      method: "POST",
      headers: { authorization: `dpop ${token}`, dpop: await prove() },
    });
    const answer = await verifier.spend(request, refund, () => "refunded");
    assert.equal(answer.outcome, "done");
  });

  test("accepts each proof algorithm of the list, and no other", async () => {
    for (const algorithm of proofAlgorithms) {
      key = await createProofKey(algorithm);
      token = await issue({ jkt: key.jkt });
      assert.equal((await verifier.check(call(await prove()), refund)).outcome, "checked", algorithm);
    }
    key = await createProofKey("ES384");
    token = await issue({ jkt: key.jkt });
    assert.equal((await rejected(call(await prove()))).reason, "invalid_proof");
  });

  test("rejects a bound token presented as Bearer or bare, with or without a proof", async () => {
    for (const presented of [
      `Bearer ${token}`,
      token,
      call(undefined, { authorization: `Bearer ${token}` }),
      call(await prove(), { authorization: `Bearer ${token}` }),
    ]) {
      const rejection = await rejected(presented);
      assert.deepEqual([rejection.reason, rejection.status], ["wrong_scheme", 401]);
      assert.match(challengeOf(rejection), /^DPoP realm="[^"]+", algs="ES256 [^"]+", error="invalid_token"/);
    }
  });

  test("rejects an unbound token under the DPoP scheme", async () => {
    token = await stand.issue(refund);
    for (const presented of [`DPoP ${token}`, call(await prove())]) {
      const rejection = await rejected(presented);
      assert.equal(rejection.reason, "wrong_scheme");
      assert.match(challengeOf(rejection), /^Bearer .*error="invalid_token".*present it as Bearer/);
    }
  });

  test("rejects a proof that is missing, or for another call, token, key or time", async () => {
    const other = await createProofKey();
    const good = await prove();
    const claims = { htm: "POST", htu: url, iat: clock.at / 1000, jti: "x" };
    const cases: [string, Call | string][] = [
      ["an API that hands on the header alone", `DPoP ${token}`],
      ["missing", call()],
      ["two in one header", call(`${good}, ${await prove()}`)],
      ["no JWT", call("proof")],
      ["too long", call(await prove({ jti: "j".repeat(9000) }))],
      ["another method", call(await prove({ htm: "GET" }))],
      ["another method of the call", call(good, { method: "PUT" })],
      ["another URL", call(await prove({ htu: "https://payments.example/payouts" }))],
      ["another URL of the call", call(good, { url: "https://payments.example/payouts" })],
      ["another host of the call", call(good, { url: "https://evil.example/refunds" })],
      ["another token", call(await prove({ token: `${token}x` }))],
      ["no token", call(await prove({ token: undefined }))],
      ["too old", call(await prove({ iat: clock.at / 1000 - 90 }))],
      ["from the future", call(await prove({ iat: clock.at / 1000 + 31 }))],
      ["without an id", call(await prove({ jti: undefined }))],
      ["another key", call(await other.prove({ htu: url, now: clock.at, token }))],
      ["the key of another agent inside", call(await prove({}, { jwk: other.publicJwk }))],
      ["a private key inside", call(await prove({}, { jwk: key.privateJwk }))],
      ["another type", call(await prove({}, { typ: "JWT" }))],
      ["unsigned", call(`${new UnsecuredJWT(claims).encode()}AAAA`)],
      ["another signature", call(`${good.slice(0, -6)}AAAAAA`)],
    ];
    for (const [name, presented] of cases) {
      const rejection = await rejected(presented);
      assert.deepEqual([rejection.reason, rejection.status], ["invalid_proof", 401], name);
      assert.match(challengeOf(rejection), /^DPoP .*error="invalid_dpop_proof", error_description="/, name);
    }
    assert.equal((await verifier.check(call(good), refund)).outcome, "checked");
  });

  test("compares the proof with baseUrl and the path, never with the host of the call", async () => {
    const internal = "http://10.0.0.7:3000/refunds?fast=1";
    assert.equal((await rejected(call(await prove(), { url: internal }))).reason, "invalid_proof");
    const proxied = newVerifier({ baseUrl: "https://payments.example/" });
    for (const seen of [internal, "/refunds", "https://evil.example/refunds"])
      assert.equal(
        (await proxied.check(call(await prove(), { url: seen }), refund)).outcome,
        "checked",
        seen,
      );
    const lured = await prove({ htu: "https://evil.example/refunds" });
    const rejection = await rejected(call(lured, { url: "https://evil.example/refunds" }), proxied);
    assert.equal(rejection.reason, "invalid_proof");
    const below = newVerifier({ baseUrl: "https://payments.example/v1" });
    const proof = await prove({ htu: "https://payments.example/v1/refunds" });
    assert.equal((await below.check(call(proof, { url: internal }), refund)).outcome, "checked");
    for (const baseUrl of ["payments.example", "ftp://payments.example", "https://payments.example?x"])
      assert.throws(() => newVerifier({ baseUrl }), /baseUrl/);
  });

  test("returns a nonce that every process of the API accepts (requireProofNonce)", async () => {
    const strict = newVerifier({ requireProofNonce: true });
    const rejection = await rejected(call(await prove()), strict);
    assert.deepEqual([rejection.reason, rejection.status], ["nonce_required", 401]);
    assert.match(challengeOf(rejection), /^DPoP .*error="use_dpop_nonce"/);
    const nonce = rejection.headers["dpop-nonce"];
    assert.ok(nonce);
    const other = newVerifier({ requireProofNonce: true });
    assert.equal((await other.check(call(await prove({ nonce })), refund)).outcome, "checked");
    const guessed = createHmac("sha256", "guess").update("nonce").digest("base64url");
    assert.equal((await rejected(call(await prove({ nonce: guessed })), strict)).reason, "nonce_required");
    assert.equal((await verifier.check(call(await prove({ nonce: "any" })), refund)).outcome, "checked");
  });

  test("accepts a repeated proof in check, and still runs the token once", async () => {
    const proof = await prove();
    assert.equal((await verifier.check(call(proof), refund)).outcome, "checked");
    assert.equal((await verifier.spend(call(proof), refund, () => 1)).outcome, "done");
    const again = await verifier.spend(call(proof), refund, () => assert.fail("it ran twice"));
    assert(again.outcome === "rejected" && again.reason === "already_spent");
  });

  test("accepts a certificate-bound token only over a connection with that certificate", async () => {
    const ours = await createSelfSigned("CN=agent-1");
    const theirs = await (await createCertificateAuthority()).issueForClient("CN=agent-1");
    token = await issue({ "x5t#S256": ours.thumbprint });
    const authorization = `Bearer ${token}`;
    const over = (clientCertificate?: Call["clientCertificate"]) =>
      call(undefined, { authorization, ...(clientCertificate && { clientCertificate }) });
    const base64 = Buffer.from(ours.der).toString("base64");
    const spellings = [ours.der, ours.certificate, encodeURIComponent(ours.certificate), `:${base64}:`];
    for (const spelled of spellings)
      assert.equal(
        (
          await verifier.check(
            over(() => spelled),
            refund,
          )
        ).outcome,
        "checked",
        String(spelled),
      );
    const others = [theirs.der, theirs.certificate, ours.certificate + theirs.certificate, "%", "", base64];
    for (const certificate of [...others, new Uint8Array(), undefined]) {
      const rejection = await rejected(over(() => certificate));
      assert.deepEqual([rejection.reason, rejection.status], ["wrong_certificate", 401]);
      assert.match(challengeOf(rejection), /^Bearer .*error="invalid_token"/);
    }
    assert.equal((await rejected(over())).reason, "wrong_certificate");
    assert.equal((await rejected(authorization)).reason, "wrong_certificate");
    const proof = await prove();
    const asDpop = call(proof, { clientCertificate: () => ours.der });
    assert.equal((await rejected(asDpop)).reason, "wrong_scheme");
  });

  test("requires both bindings of a token bound to both, and rejects an unknown binding", async () => {
    const ours = await createSelfSigned("CN=agent-1");
    token = await issue({ jkt: key.jkt, "x5t#S256": ours.thumbprint });
    const proof = await prove();
    assert.equal((await rejected(call(proof))).reason, "wrong_certificate");
    const both = call(proof, { clientCertificate: () => ours.der });
    assert.equal((await verifier.check(both, refund)).outcome, "checked");
    for (const cnf of [
      {},
      { kid: "x" },
      { jkt: key.jkt, jwk: {} },
      { jkt: 7 },
      { "x5t#S256": 7 },
      "x",
      null,
      [],
    ]) {
      token = await stand.issue(refund, { cnf } as JsonObject);
      for (const scheme of ["DPoP", "Bearer"])
        assert.equal(
          (await rejected(call(await prove(), { authorization: `${scheme} ${token}` }))).reason,
          "invalid_token",
          JSON.stringify(cnf),
        );
    }
  });

  test("requires neither certificate nor proof for a bearer token", async () => {
    token = await stand.issue(refund);
    const headers = {
      get: (name: string) => (name === "authorization" ? `Bearer ${token}` : assert.fail(name)),
    };
    const plain: Call = {
      headers,
      method: "POST",
      url,
      clientCertificate: () => assert.fail("the certificate was asked for"),
    };
    assert.equal((await verifier.check(plain, refund)).outcome, "checked");
  });

  test("rejects any malformed proof or certificate, and never throws", async () => {
    const odd = fc.oneof(fc.string(), fc.base64String(), fc.uint8Array());
    token = await issue({ "x5t#S256": "x".repeat(43) });
    const authorization = `Bearer ${token}`;
    await fc.assert(
      fc.asyncProperty(odd, async (certificate) => {
        const presented = call(undefined, { authorization, clientCertificate: () => certificate });
        return (await rejected(presented)).reason === "wrong_certificate";
      }),
      { numRuns: 50 },
    );
    token = await issue({ jkt: key.jkt });
    const segment = fc.base64String().map((text) => text.replace(/[+/=]/g, "_"));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.tuple(segment, segment, segment)), async (proof) => {
        const text = typeof proof === "string" ? proof : proof.join(".");
        const headers = { get: (name: string) => (name === "dpop" ? text : `DPoP ${token}`) };
        return (await rejected({ headers, method: "POST", url })).reason === "invalid_proof";
      }),
      { numRuns: 50 },
    );
  });
});
