/** TLS, client authentication by certificate and certificate-bound tokens (RFC 8705, FAPI §8.5). */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import type { SecureVersion } from "node:tls";
import { createCertificateAuthority, createSelfSigned } from "@countersign/testing/server/certificate";
import { decodeJwt } from "jose";
import type { Certificate } from "./call.ts";
import type { Credentials } from "./credential.ts";
import { prove } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, type RequestStyle, refusal } from "./test-server.ts";
import { tlsHandshake as greet } from "./tls-handshake.ts";

const world = await openTestServer({
  https: true,
  agents: [
    { id: "pki", method: "tls_client_auth", binding: "mtls" },
    { id: "pki-2", method: "tls_client_auth" },
    { id: "self", method: "self_signed_tls_client_auth", binding: "mtls" },
    { id: "signer", method: "private_key_jwt", algorithm: "PS256", binding: "mtls" },
    { id: "sender", method: "client_secret_post" },
  ],
});
const [pki, self, signer] = [world.agent("pki"), world.agent("self"), world.agent("signer")];
const invalidClient = [401, "invalid_client"];

/** Sends a request as this client, with this certificate or none. */
async function coming(certificate: Certificate | undefined, by: Credentials): Promise<RequestStyle> {
  const { form, headers } = await prove(by, world.issuer);
  return { proof: { form, headers, certificate } };
}
const thumbprint = ({ certificate }: Certificate) =>
  createHash("sha256").update(new X509Certificate(certificate).raw).digest("base64url");

const shakeHands = (url: string, min: SecureVersion, max: SecureVersion, suites?: string) =>
  greet(url, world.ca, min, max, suites);

scenario(
  "every endpoint is https, with TLS 1.3, and TLS 1.2 with the permitted suites",
  ["ciba-7-1", "rfc7662-4-2", "rfc7009-2-1", "fapi-adv-8.5-1", "rfc8414-2-1"],
  async () => {
    const document = await world.metadata();
    for (const [name, url] of Object.entries<string>(document).filter(([name]) => name.endsWith("_endpoint")))
      assert.match(url, /^https:/, name);
    for (const url of [world.issuer, world.resource.url]) {
      assert.match(await shakeHands(url, "TLSv1.2", "TLSv1.3"), /^TLSv1\.3 /);
      assert.match(
        await shakeHands(url, "TLSv1.2", "TLSv1.2"),
        /^TLSv1\.2 TLS_ECDHE_(ECDSA|RSA)_WITH_AES_(128_GCM_SHA256|256_GCM_SHA384)$/,
      );
      for (const ciphers of [
        "AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
      ])
        assert.match(await shakeHands(url, "TLSv1.2", "TLSv1.2", ciphers), /^ERR_SSL|ECONNRESET/, ciphers);
    }
  },
);

scenario("TLS versions before 1.2 are refused", ["fapi-adv-8.5-2"], async () => {
  for (const url of [world.issuer, world.resource.url])
    for (const version of ["TLSv1", "TLSv1.1"] as const)
      assert.match(await shakeHands(url, version, version), /^ERR_SSL|ECONNRESET/, version);
});

scenario(
  "metadata lists the certificate methods and the mutual-TLS endpoints",
  ["rfc8705-2.1.1-1", "rfc8705-5-1", "fapi-base-5.2.2-4"],
  async () => {
    const document = await world.metadata();
    const methods: string[] = document.token_endpoint_auth_methods_supported;
    for (const method of ["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"])
      assert.ok(methods.includes(method), method);
    const { token_endpoint, backchannel_authentication_endpoint } = document.mtls_endpoint_aliases;
    for (const url of [token_endpoint, backchannel_authentication_endpoint])
      assert.deepEqual(refusal(await world.post(url, {})), invalidClient);
  },
);

scenario(
  "a validated certificate with the registered name, or the registered self-signed one, authenticates",
  ["rfc8705-2.1-1", "rfc8705-2.2-1", "rfc8705-2.2-2", "rfc8705-2-1", "ciba-4-6"],
  async () => {
    for (const agent of [pki, self, world.agent("pki-2")]) {
      const authReqId = await world.asked(agent);
      assert.equal((await world.poll(agent, authReqId)).body.error, "authorization_pending", agent.id);
    }
  },
);

scenario(
  "another certificate, another authority, no certificate and a missing client_id are invalid_client",
  ["rfc8705-2-2", "rfc8705-2-1", "rfc8705-2.1-1", "rfc8705-2.2-1", "rfc8705-7.2-1"],
  async () => {
    const strangers = await (await createCertificateAuthority()).issueForClient("CN=pki");
    const wrong: readonly (readonly [Credentials, Certificate | undefined])[] = [
      [pki, world.agent("pki-2").certificate],
      [pki, strangers],
      [pki, await createSelfSigned("CN=pki")],
      [pki, undefined],
      [self, await createSelfSigned("CN=self")],
      [self, pki.certificate],
      [self, undefined],
    ];
    for (const [agent, certificate] of wrong) {
      assert.deepEqual(
        refusal(await world.ask(agent, {}, await coming(certificate, agent))),
        invalidClient,
        agent.id,
      );
    }
    const nameless = { proof: { form: {}, headers: {}, certificate: pki.certificate } };
    assert.deepEqual(refusal(await world.ask(pki, {}, nameless)), invalidClient);
    const authReqId = await world.asked(pki);
    const other = await coming(world.agent("pki-2").certificate, pki);
    assert.deepEqual(refusal(await world.poll(pki, authReqId, {}, other)), invalidClient);
  },
);

scenario(
  "a certificate does not replace another registered method",
  ["ciba-4-12", "rfc8705-2-2"],
  async () => {
    const proof = { form: { client_id: "sender" }, headers: {}, certificate: pki.certificate };
    assert.deepEqual(refusal(await world.ask(world.agent("sender"), {}, { proof })), invalidClient);
  },
);

scenario(
  "a token is bound to the certificate, in access token and introspection",
  ["rfc8705-3-1", "rfc8705-3.1-1", "rfc8705-3.2-1", "fapi-adv-5.2.2-6"],
  async () => {
    for (const agent of [pki, self, signer]) {
      const { body } = await world.approved(agent);
      const cnf = { "x5t#S256": thumbprint(agent.certificate!) };
      assert.deepEqual(decodeJwt(body.access_token).cnf, cnf);
      assert.equal(body.token_type, "Bearer");
      assert.deepEqual((await world.introspect("refunds", body.access_token)).body.cnf, cnf);
    }
  },
);

scenario(
  "a client registered for bound tokens gets none without its certificate, and the approval stays valid",
  ["rfc8705-3.4-1", "fapi-adv-5.2.2-5"],
  async () => {
    const authReqId = await world.asked(signer);
    await world.allow(authReqId);
    const without = await world.poll(signer, authReqId, {}, await coming(undefined, signer));
    assert.ok(without.status === 400 || without.status === 401);
    assert.ok(["invalid_request", "invalid_grant", "invalid_client"].includes(without.body.error));
    assert.equal((await world.poll(signer, authReqId)).status, 200);
  },
);

scenario("the API accepts a bound token only with its certificate", ["rfc8705-3-2"], async () => {
  const { access_token: token } = (await world.approved(pki, { scope: "openid calendar.clear" })).body;
  const use = (certificate: Certificate | undefined) =>
    world.call(`${world.resource.url}/calendar.clear`, {
      headers: { authorization: `Bearer ${token}` },
      certificate,
    });
  for (const certificate of [undefined, signer.certificate, await createSelfSigned("CN=pki")]) {
    const refused = await use(certificate);
    assert.equal(refused.status, 401);
    assert.match(String(refused.headers["www-authenticate"]), /invalid_token/);
  }
  const taken = await use(pki.certificate);
  assert.equal(taken.status, 200, taken.text);
});

scenario("metadata announces certificate-bound tokens", ["rfc8705-3.3-1"], async () => {
  assert.equal((await world.metadata()).tls_client_certificate_bound_access_tokens, true);
});
