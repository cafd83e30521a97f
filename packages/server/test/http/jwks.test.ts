/** Agents whose keys are at a URL of theirs (`jwks_uri`): fetched over real TLS, kept, renewed, and never from inside. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { allowLoopback } from "@countersign/testing/server/callback-harness";
import { type Receiver, startReceiver } from "@countersign/testing/server/callback-receiver";
import {
  type CertificateAuthority,
  createCertificateAuthority,
  createSelfSigned,
} from "@countersign/testing/server/certificate";
import { deploy, issuer } from "@countersign/testing/server/deployment";
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { createSecretSeal } from "../../src/crypto/seal.ts";
import { parseCertificate } from "../../src/domain/client/certificate.ts";
import { type ClientJwtVerifier, createClientJwtVerifier } from "../../src/outbound/client-jwt-verifier.ts";
import { createJwksCache } from "../../src/outbound/jwks-cache.ts";
import { createOutbound } from "../../src/outbound/outbound.ts";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

let authority: CertificateAuthority;
let owner: Receiver;
let keys: ClientJwtVerifier;
let faults: string[];
const clock = { now: Date.parse("2026-11-22T14:00:00Z") };
const minute = 60_000;

before(async () => {
  authority = await createCertificateAuthority();
  owner = await startReceiver(authority);
});
beforeEach(() => {
  owner.received.length = 0;
  faults = [];
  keys = agentKeys(["127.0.0.0/8", "::1/128"]);
});
after(async () => owner.close());

function agentKeys(allowPrivate: readonly string[]): ClientJwtVerifier {
  const outbound = createOutbound({ allowPrivate, allowHttp: false, ca: authority.ca });
  const published = createJwksCache(
    () => clock.now,
    outbound,
    (fault, where) => faults.push(`${where}: ${(fault as Error).message}`),
  );
  return createClientJwtVerifier(() => clock.now, createSecretSeal(new Uint8Array(32)), published);
}

async function pair(kid?: string) {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...(kid !== undefined && { kid }) };
  const sign = (header: object = kid === undefined ? {} : { kid }) =>
    new SignJWT({ iss: "a" }).setProtectedHeader({ alg: "ES256", ...header }).sign(privateKey);
  return { jwk, sign, privateJwk: { ...(await exportJWK(privateKey)), ...(kid !== undefined && { kid }) } };
}

function publish(...jwks: JWK[]): void {
  answer(200, JSON.stringify({ keys: jwks }));
}

function answer(status: number, body: string, headers: Record<string, string> = {}): void {
  owner.respond = (response) => response.writeHead(status, headers).end(body);
}

const agent = () => ({ keys: { from: "uri" as const, uri: `${owner.origin}/jwks` } });
const fetched = () => owner.received.length;

async function outcome(jwt: string): Promise<string> {
  const answer = await keys.verify(agent(), jwt, {});
  return "refused" in answer ? answer.refused : "verified";
}

const { jwk, privateJwk } = await pair("1");

describe("jwks_uri", () => {
  test("fetches the keys once for concurrent callers, and again after five minutes", async () => {
    const { jwk, sign } = await pair("1");
    publish(jwk);
    const answers = await Promise.all(Array.from({ length: 20 }, async () => outcome(await sign())));
    assert.deepEqual([...new Set(answers)], ["verified"]);
    clock.now += 5 * minute - 1;
    assert.equal(await outcome(await sign()), "verified");
    assert.equal(fetched(), 1);
    clock.now += 1;
    assert.equal(await outcome(await sign()), "verified");
    assert.equal(fetched(), 2);
    assert.equal(owner.received[0]?.method, "GET");
  });

  test("accepts a withdrawn key for five minutes, and no longer", async () => {
    const [old, fresh] = [await pair("1"), await pair("2")];
    publish(old.jwk, fresh.jwk);
    assert.equal(await outcome(await old.sign()), "verified");
    publish(fresh.jwk);
    clock.now += 5 * minute;
    assert.equal(await outcome(await old.sign()), "unknown_key");
    assert.equal(await outcome(await fresh.sign()), "verified");
  });

  for (const kid of ["2", undefined])
    test(`finds a new key at once, ${kid ? "by its kid" : "also without a kid"}`, async () => {
      const [old, fresh] = [await pair(kid && "1"), await pair(kid)];
      publish(old.jwk);
      assert.equal(await outcome(await old.sign()), "verified");
      publish(old.jwk, fresh.jwk);
      clock.now += 30_000;
      assert.equal(await outcome(await fresh.sign()), "verified");
      assert.equal(fetched(), 2);
    });

  test("fetches at most twice a minute for signatures of unknown keys", async () => {
    const { jwk, sign } = await pair("1");
    publish(jwk);
    const forger = await pair("1");
    for (let second = 0; second < 60; second += 1) {
      assert.equal(await outcome(await sign({ kid: `random-${second}` })), "unknown_key");
      assert.equal(await outcome(await forger.sign()), "forged");
      clock.now += 1000;
    }
    assert.equal(fetched(), 2);
  });

  test("uses cached keys for an hour if the URL fails, and reports the fault", async () => {
    const { jwk, sign } = await pair("1");
    publish(jwk);
    assert.equal(await outcome(await sign()), "verified");
    answer(503, "");
    clock.now += 64 * minute;
    assert.equal(await outcome(await sign()), "verified");
    assert.deepEqual(faults, [
      `agent keys: the keys at ${owner.origin}/jwks cannot be used: the response status was 503`,
    ]);
    clock.now += minute;
    assert.equal(await outcome(await sign()), "unreachable");
    publish(jwk);
    clock.now += minute;
    assert.equal(await outcome(await sign()), "verified");
  });

  test("fetches a failing URL at most twice a minute", async () => {
    const { sign } = await pair("1");
    answer(500, "");
    for (let second = 0; second < 60; second += 1) {
      assert.equal(await outcome(await sign()), "unreachable");
      clock.now += 1000;
    }
    assert.equal(fetched(), 2);
    assert.equal(faults.length, 2);
  });

  const unusable: readonly (readonly [string, () => void, RegExp])[] = [
    ["a private key", () => publish(jwk, privateJwk), /private or symmetric/],
    ["a symmetric key", () => publish(jwk, { kty: "oct", k: "AAAA" }), /private or symmetric/],
    ["no keys", () => answer(200, '{"keys":[]}'), /no key of a supported type/],
    ["no JWK set", () => answer(200, "[]"), /not a JWK Set/],
    ["invalid JSON", () => answer(200, "<html>"), /the response is not valid JSON at/],
    ["a duplicate member", () => answer(200, '{"keys":[],"keys":[]}'), /the response is not valid JSON at/],
    ["too many keys", () => publish(...Array.from({ length: 21 }, () => jwk)), /more than 20/],
    ["a body over the limit", () => answer(200, `${" ".repeat(131_072)}{"keys":[]}`), /longer than/],
    ["a redirect", () => answer(302, "", { location: `${owner.origin}/other` }), /302/],
    ["an empty body", () => answer(204, ""), /204/],
  ];
  for (const [what, serve, why] of unusable)
    test(`rejects a response with ${what}, and reports the reason`, async () => {
      serve();
      const { sign } = await pair("1");
      assert.equal(await outcome(await sign()), "unreachable");
      assert.match(faults.join(), why);
      assert.equal(fetched(), 1);
    });

  test("does not fetch from private addresses unless configured (T36, T37)", async () => {
    keys = agentKeys([]);
    const one = await pair("1");
    publish(one.jwk);
    assert.equal(await outcome(await one.sign()), "unreachable");
    assert.equal(fetched(), 0);
    assert.match(faults.join(), /not a public address/);
  });

  test("finds a self-signed certificate among published keys, also a new one", async () => {
    const [first, second] = [await createSelfSigned("CN=a"), await createSelfSigned("CN=a")];
    const certificate = (made: typeof first) => parseCertificate(made.der)!;
    publish(first.publicJwk as JWK);
    assert.equal(await keys.hasCertificate(agent(), certificate(first)), true);
    assert.equal(await keys.hasCertificate(agent(), certificate(second)), false);
    publish(second.publicJwk as JWK);
    clock.now += minute;
    assert.equal(await keys.hasCertificate(agent(), certificate(second)), true);
    assert.equal(await keys.hasCertificate(agent(), certificate(first)), false);
  });

  test("imports a key once, although the set is fetched repeatedly", async (t) => {
    const { jwk, sign } = await pair("1");
    publish(jwk);
    const imports = t.mock.method(crypto.subtle, "importKey");
    for (let at = 0; at < 3; at += 1) {
      assert.equal(await outcome(await sign()), "verified");
      clock.now += 6 * minute;
    }
    assert.equal(fetched(), 3);
    assert.equal(imports.mock.callCount(), 1);
  });

  test("authenticates by a published key; returns invalid_client if it cannot be fetched", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-keys-"));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "ca.pem"), authority.ca);
    const deployment = await deploy({ config: allowLoopback(join(folder, "ca.pem")) });
    t.after(() => deployment.close());
    await addAgent(deployment.server.store, {
      id: "a",
      name: "Publishes its keys",
      types: ["refund"],
      credential: { method: "private_key_jwt" },
      ...agent(),
    });
    const { jwk, privateJwk } = await pair("1");
    const key = await importJWK(privateJwk, "ES256");
    const call = async () => {
      const now = Math.floor(deployment.clock.now / 1000);
      const claims = { iss: "a", sub: "a", aud: issuer, exp: now + 60, jti: crypto.randomUUID() };
      const client_assertion = await new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", kid: "1" })
        .sign(key);
      const client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
      return await deployment.post("/oauth/token", {
        grant_type: "x",
        client_assertion,
        client_assertion_type,
      });
    };
    answer(404, "");
    const refused = await call();
    assert.deepEqual([refused.status, refused.body.error], [401, "invalid_client"]);
    assert.deepEqual(deployment.faultOperations, ["agent keys"]);
    publish(jwk);
    deployment.clock.now += minute;
    assert.equal((await call()).body.error, "unsupported_grant_type");
    assert.equal(deployment.faults.length, 1);
  });
});
