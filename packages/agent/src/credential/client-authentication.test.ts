import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { exportJWK, exportPKCS8, generateKeyPair, jwtVerify } from "jose";
import { acknowledged, metadataOf, type StandIn, standIn, testClock } from "../../test/stand-in.ts";
import { type AgentOptions, type Credentials, createAgent, type PrivateKey } from "../agent.ts";

let stand: StandIn;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const newAsk = { action: { type: "refund" }, approver: "owner" } as const;
const clientSecret = "a secret of 256 bits, as the server makes them";
type Proof = Pick<Credentials, "clientSecret" | "privateKey">;
const newAgent = (proof: Proof, options?: AgentOptions) =>
  createAgent({ issuer: stand.issuer, clientId: "refunder", ...proof } as Credentials, {
    clock: testClock(),
    ...options,
  });

/** Sends two requests over a connection that breaks once, and returns the claims of each assertion. */
async function assertionsOf(proof: Proof, key: CryptoKey | Uint8Array, alg: string, options?: AgentOptions) {
  stand.seen.length = 0;
  stand.ask = ["hang up", acknowledged()];
  assert.equal((await newAgent(proof, options).ask(newAsk)).outcome, "asked");
  assert.equal(stand.seen.length, 2);
  const read = stand.seen.map(async ({ form, headers }) => {
    assert.equal(headers.authorization, undefined);
    assert.equal(form.get("client_id"), "refunder");
    assert.equal(form.has("client_secret"), false);
    assert.equal(form.get("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    const { payload, protectedHeader } = await jwtVerify(form.get("client_assertion")!, key, {
      issuer: "refunder",
      subject: "refunder",
      audience: stand.issuer,
      algorithms: [alg],
      currentDate: new Date(testClock().wall),
    });
    assert.equal(payload.exp! - payload.iat!, 60);
    return { jti: payload.jti, header: protectedHeader };
  });
  const assertions = await Promise.all(read);
  assert.equal(new Set(assertions.map(({ jti }) => jti)).size, 2);
  return assertions;
}

describe("client authentication", () => {
  test("makes a new assertion for each request, also for a retry (private_key_jwt)", async () => {
    for (const alg of ["ES256", "EdDSA", "PS256", "RS256"] as const) {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      const jwk = await exportJWK(privateKey);
      const spellings: PrivateKey[] = [
        { jwk, kid: "k1", algorithm: alg },
        { jwk: { ...jwk, kid: "k1", alg } },
        { key: privateKey, kid: "k1" },
        { pem: await exportPKCS8(privateKey), algorithm: alg, kid: "k1" },
      ];
      for (const spelling of spellings)
        for (const { header } of await assertionsOf({ privateKey: spelling }, publicKey, alg))
          assert.deepEqual(header, { alg, kid: "k1" });
    }
  });

  test("signs with PS256 for an RSA key without an algorithm, and sends no kid without one", async () => {
    const { privateKey, publicKey } = await generateKeyPair("PS256", { extractable: true });
    const jwk = await exportJWK(privateKey);
    const [{ header } = assert.fail()] = await assertionsOf({ privateKey: { jwk } }, publicKey, "PS256");
    assert.deepEqual(header, { alg: "PS256" });
  });

  test("does not send the secret (client_secret_jwt)", async () => {
    const options = { clientAuthentication: "client_secret_jwt" } as const;
    await assertionsOf({ clientSecret }, new TextEncoder().encode(clientSecret), "HS256", options);
  });

  test("sends the secret in the form only (client_secret_post)", async () => {
    await newAgent({ clientSecret }, { clientAuthentication: "client_secret_post" }).ask(newAsk);
    assert.equal(stand.seen[0]?.form.get("client_id"), "refunder");
    assert.equal(stand.seen[0]?.form.get("client_secret"), clientSecret);
    assert.equal(stand.seen[0]?.headers.authorization, undefined);
  });

  test("sends only the client id, to the mTLS aliases, with a certificate", async () => {
    const mtls_endpoint_aliases = {
      backchannel_authentication_endpoint: `${stand.issuer}/bc-authorize?mtls`,
    };
    stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), mtls_endpoint_aliases } }];
    for (const clientAuthentication of ["tls_client_auth", "self_signed_tls_client_auth"] as const)
      await newAgent({}, { clientAuthentication }).ask(newAsk);
    await newAgent({ clientSecret }, { certificateBound: true }).ask(newAsk);
    await newAgent({ clientSecret }).ask(newAsk);
    assert.deepEqual(
      stand.seen.map(({ path }) => path),
      [...Array(3).fill("/bc-authorize?mtls"), "/bc-authorize"],
    );
    assert.deepEqual(
      [...stand.seen[0]!.form.keys()],
      ["scope", "login_hint", "authorization_details", "client_id"],
    );
    assert.equal(stand.seen[0]?.headers.authorization, undefined);
  });

  test("rejects an mTLS alias that is not https", async () => {
    const mtls_endpoint_aliases = { token_endpoint: "http://evil.example/token" };
    stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), mtls_endpoint_aliases } }];
    const agent = newAgent({}, { clientAuthentication: "tls_client_auth" });
    await assert.rejects(agent.ask(newAsk), /token_endpoint must be https/);
  });

  test("rejects a missing credential, and a key of a kind that cannot sign", async () => {
    assert.throws(() => newAgent({}), /clientSecret or privateKey is missing/);
    assert.throws(
      () => newAgent({ clientSecret }, { clientAuthentication: "private_key_jwt" }),
      /requires privateKey/,
    );
    const { privateKey } = await generateKeyPair("ES256");
    for (const clientAuthentication of ["client_secret_basic", "client_secret_jwt"] as const)
      assert.throws(
        () => newAgent({ privateKey: { key: privateKey } }, { clientAuthentication }),
        /requires clientSecret/,
      );
    const odd = { kty: "EC", crv: "secp256k1", x: "AA", y: "AA", d: "AA" };
    assert.throws(() => newAgent({ privateKey: { jwk: odd } }), /or have an algorithm/);
    const { privateKey: exchange } = await crypto.subtle.generateKey({ name: "X25519" }, false, [
      "deriveBits",
    ]);
    assert.throws(() => newAgent({ privateKey: { key: exchange } }), /or have an algorithm/);
  });
});
