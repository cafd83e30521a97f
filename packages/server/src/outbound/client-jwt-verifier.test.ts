import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { createSecretSeal } from "../crypto/seal.ts";
import type { Keys } from "../domain/client/client.ts";
import { createClientJwtVerifier } from "./client-jwt-verifier.ts";

const now = Date.parse("2026-11-22T14:00:00Z");
const pair = await generateKeyPair("ES256", { extractable: true });
const jwk = await exportJWK(pair.publicKey);
const other = await exportJWK((await generateKeyPair("ES256", { extractable: true })).publicKey);

const seal = createSecretSeal(new Uint8Array(32));

const emptyJwksCache = { read: async () => undefined, refresh: async () => undefined };

const registered = (...jwks: object[]): { keys: Keys } => ({
  keys: { from: "registration", jwks: jwks as never },
});

function sign(header: Record<string, unknown> = {}, claims: Record<string, unknown> = {}) {
  return new SignJWT({ iss: "a", exp: now / 1000 + 60, ...claims })
    .setProtectedHeader({ alg: "ES256", ...header })
    .sign(pair.privateKey);
}

describe("createClientJwtVerifier", () => {
  test("imports a key once for any number of requests, also after the agent was read again", async (t) => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    const imports = t.mock.method(crypto.subtle, "importKey");
    for (let at = 0; at < 3; at += 1)
      assert.ok("payload" in (await verify(structuredClone(registered(jwk)), await sign(), {})));
    assert.equal(imports.mock.callCount(), 1);
  });

  test("imports another key under the same name", async () => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    assert.ok("payload" in (await verify(registered({ ...jwk, kid: "k" }), await sign({ kid: "k" }), {})));
    assert.deepEqual(await verify(registered({ ...other, kid: "k" }), await sign({ kid: "k" }), {}), {
      refused: "forged",
    });
  });

  test("tries each matching key without a kid, and only the named one with a kid", async () => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    const both = registered({ ...other, kid: "1" }, { ...jwk, kid: "2" });
    assert.ok("payload" in (await verify(both, await sign(), {})));
    assert.ok("payload" in (await verify(both, await sign({ kid: "2" }), {})));
    assert.deepEqual(await verify(both, await sign({ kid: "1" }), {}), { refused: "forged" });
    assert.deepEqual(await verify(both, await sign({ kid: "3" }), {}), { refused: "unknown_key" });
  });

  test("distinguishes an invalid JWT signed by the agent from one not signed by it", async () => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    const keys = registered({ ...other }, jwk);
    assert.deepEqual(await verify(keys, await sign({}, { exp: now / 1000 - 1 }), {}), {
      refused: "expired",
      claim: "exp",
    });
    assert.deepEqual(await verify(keys, await sign(), { issuer: "b" }), { refused: "claims", claim: "iss" });
    assert.deepEqual(await verify(keys, "no.jwt", {}), { refused: "malformed" });
    assert.deepEqual(await verify({}, await sign(), {}), { refused: "unknown_key" });
  });

  test("rejects a symmetric algorithm even if the caller allows it, and an unknown crit (T46)", async () => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    const secret = new TextEncoder().encode(JSON.stringify(jwk));
    const confused = await new SignJWT({ iss: "a" }).setProtectedHeader({ alg: "HS256" }).sign(secret);
    for (const keys of [registered(jwk), registered({ kty: "oct", k: "AAAA" })])
      for (const options of [{}, { algorithms: ["HS256"] }])
        assert.deepEqual(await verify(keys, confused, options), { refused: "malformed" });
    const [, payload, signature] = (await sign()).split(".");
    const header = Buffer.from(JSON.stringify({ alg: "ES256", crit: ["x"], x: 1 })).toString("base64url");
    assert.deepEqual(await verify(registered(jwk), `${header}.${payload}.${signature}`, {}), {
      refused: "malformed",
    });
  });

  test("refuses invalid keys and keys of another kind, without an error", async () => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    for (const odd of [{}, { kty: "EC" }, { kty: "EC", crv: "P-256", x: "AA", y: "AA" }, null, 5])
      assert.ok("refused" in (await verify(registered(odd as never), await sign(), {})));
  });

  test("imports the least recently used key again if there are more agents than cache entries", async (t) => {
    const { verify } = createClientJwtVerifier(() => now, seal, emptyJwksCache);
    const imports = t.mock.method(crypto.subtle, "importKey");
    for (let at = 0; at < 1001; at += 1) await verify(registered({ ...jwk, kid: `${at}` }), "e30.e30.AA", {});
    const jwt = await sign();
    await verify(registered({ ...jwk, kid: "1000" }), jwt, {});
    await verify(registered({ ...jwk, kid: "0" }), jwt, {});
    assert.equal(imports.mock.callCount(), 2);
    mock.reset();
  });
});
