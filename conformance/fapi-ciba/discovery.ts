/** The plan's checks of metadata, keys and TLS. */
import assert from "node:assert/strict";
import { cibaGrantType } from "@countersign/protocol";
import { tlsHandshake } from "../tls-handshake.ts";
import type { ModuleRun } from "./suite-harness.ts";

/** `FAPICIBAID1DiscoveryEndpointVerification`, and the checks that every module runs first. */
export async function checkDiscovery({ server, variant }: ModuleRun): Promise<void> {
  const answer = await server.call("/.well-known/openid-configuration");
  assert.equal(answer.status, 200);
  assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
  const document = answer.body;
  assert.equal(document.issuer, server.issuer);
  assert.equal(document.tls_client_certificate_bound_access_tokens, true);
  const either = ["PS256", "ES256"];
  const some = (list: readonly string[], wanted: readonly string[]) =>
    list.some((one) => wanted.includes(one));
  assert.ok(some(document.id_token_signing_alg_values_supported, either));
  assert.ok(some(document.token_endpoint_auth_signing_alg_values_supported, either));
  assert.ok(some(document.backchannel_authentication_request_signing_alg_values_supported, either));
  const methods =
    variant.auth === "mtls" ? ["tls_client_auth", "self_signed_tls_client_auth"] : [variant.auth];
  assert.ok(some(document.token_endpoint_auth_methods_supported, methods));
  for (const name of ["token_endpoint", "backchannel_authentication_endpoint", "jwks_uri"])
    assert.equal(new URL(document[name]).protocol, "https:");
  for (const scope of document.scopes_supported) assert.match(scope, /^[\x21\x23-\x5b\x5d-\x7e]+$/);
  assert.equal(typeof document.backchannel_user_code_parameter_supported, "boolean");
  assert.ok(document.grant_types_supported.includes(cibaGrantType));
  assert.ok(document.backchannel_token_delivery_modes_supported.includes(variant.mode));

  const { keys } = (await server.call(document.jwks_uri)).body;
  for (const { kid, kty, d, n, crv } of keys) {
    assert.ok(kid);
    assert.equal(d, undefined);
    if (kty === "RSA") assert.ok(Buffer.from(n, "base64url").length >= 256);
    if (kty === "EC") assert.match(crv, /^P-(256|384|521)$/);
  }
}

/** FAPI 1.0 Advanced §8.5 for TLS 1.2: allowed cipher suites, and suites that must be refused. */
const permitted = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"];

/** `EnsureTLS12WithFAPICiphers`, `DisallowTLS10`, `DisallowTLS11`, `DisallowInsecureCipher`, and TLS 1.3 before 1.2. */
export async function checkTls({ server }: ModuleRun): Promise<void> {
  for (const url of [server.issuer, server.resource.url]) {
    assert.match(await tlsHandshake(url, server.ca, "TLSv1.2", "TLSv1.3"), /^TLSv1\.3 /);
    for (const suite of permitted)
      assert.match(
        await tlsHandshake(url, server.ca, "TLSv1.2", "TLSv1.2", suite),
        /^TLSv1\.2 TLS_ECDHE_RSA/,
      );
    for (const old of ["TLSv1", "TLSv1.1"] as const)
      assert.match(await tlsHandshake(url, server.ca, old, old), /^ERR_SSL|ECONNRESET/);
    for (const suite of ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"])
      assert.match(await tlsHandshake(url, server.ca, "TLSv1.2", "TLSv1.2", suite), /^ERR_SSL|ECONNRESET/);
  }
}
