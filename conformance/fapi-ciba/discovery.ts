/** What the plan holds against metadata and keys, and against TLS at the endpoints. */
import assert from "node:assert/strict";
import { cibaGrantType } from "@countersign/protocol";
import type { Scene } from "./stage.ts";

/** `FAPICIBAID1DiscoveryEndpointVerification`, and what each module looks at before it begins. */
export async function checkDiscovery({ world, variant }: Scene): Promise<void> {
  const answer = await world.call("/.well-known/openid-configuration");
  assert.equal(answer.status, 200);
  assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
  const document = answer.body;
  assert.equal(document.issuer, world.issuer);
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

  const { keys } = (await world.call(document.jwks_uri)).body;
  for (const { kid, kty, d, n, crv } of keys) {
    assert.ok(kid);
    assert.equal(d, undefined);
    if (kty === "RSA") assert.ok(Buffer.from(n, "base64url").length >= 256);
    if (kty === "EC") assert.match(crv, /^P-(256|384|521)$/);
  }
}
