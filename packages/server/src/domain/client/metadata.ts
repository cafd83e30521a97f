/**
 * Writes an agent's registration as client metadata (RFC 7591 §2): the reverse of `registration.ts`. Contains no secret.
 * Action types are written by `type-metadata.ts`.
 */
import { cibaGrantType, type JsonObject } from "@countersign/protocol";
import type { Agent } from "./client.ts";

export function toClientMetadata(agent: Agent): JsonObject {
  const { credential, keys, delivery, binding } = agent;
  return {
    client_name: agent.name,
    grant_types: [cibaGrantType],
    // CIBA has no redirects. Some client libraries require these members anyway.
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: credential.method,
    ...(credential.method === "tls_client_auth" && {
      [`tls_client_auth_${credential.name}`]: credential.value,
    }),
    ...(agent.assertionAlgorithm !== undefined && {
      token_endpoint_auth_signing_alg: agent.assertionAlgorithm,
    }),
    ...(keys?.from === "registration" && { jwks: { keys: [...keys.jwks] } }),
    ...(keys?.from === "uri" && { jwks_uri: keys.uri }),
    backchannel_token_delivery_mode: delivery.mode,
    ...(delivery.mode !== "poll" && { backchannel_client_notification_endpoint: delivery.endpoint }),
    ...(agent.requestAlgorithm !== undefined && {
      backchannel_authentication_request_signing_alg: agent.requestAlgorithm,
    }),
    backchannel_user_code_parameter: agent.userCode,
    dpop_bound_access_tokens: binding === "dpop",
    tls_client_certificate_bound_access_tokens: binding === "mtls",
    id_token_signed_response_alg: "ES256",
    subject_type: "public",
  };
}
