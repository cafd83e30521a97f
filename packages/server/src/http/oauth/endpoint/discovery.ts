/**
 * Server metadata: OpenID Connect Discovery, RFC 8414 and Countersign's own members, in one document that is served at both
 * well-known paths. Every URL is built from the configured issuer, never from the request.
 */
import { authenticationLevels, cibaGrantType, proofAlgorithms } from "@countersign/protocol";
import { listOfferedAuthMethods } from "../../../config/section/listen.ts";
import type { Policy, Settings } from "../../../config/sections.ts";
import { deliveryModes, secretAlgorithms, signatureAlgorithms } from "../../../domain/client/client.ts";
import { toAcr } from "../../../domain/policy/level.ts";
import { ungrantedScopes } from "../../../usecase/request/resolve-ask.ts";

export type EndpointUrls = Readonly<
  Record<
    | "authorize"
    | "bcAuthorize"
    | "token"
    | "spend"
    | "introspect"
    | "revoke"
    | "register"
    | "jwks"
    | "actionTypes"
    | "checkpoint",
    string
  >
>;

/** Returns the URLs of the protocol endpoints under an issuer or mutual-TLS base URL. */
export function buildEndpointUrls(issuer: string): EndpointUrls {
  return {
    authorize: `${issuer}/authorize`,
    bcAuthorize: `${issuer}/bc-authorize`,
    token: `${issuer}/oauth/token`,
    spend: `${issuer}/spend`,
    introspect: `${issuer}/introspect`,
    revoke: `${issuer}/revoke`,
    register: `${issuer}/register`,
    jwks: `${issuer}/jwks`,
    actionTypes: `${issuer}/action-types`,
    checkpoint: `${issuer}/log/checkpoint`,
  };
}

/** Returns the metadata document. */
export function createMetadata(settings: Settings, policy: Policy) {
  const urls = buildEndpointUrls(settings.issuer);
  const policies = [...policy.actions.values()];
  const clientMethods = listOfferedAuthMethods(settings.mtls);
  const assertionAlgorithms = [...signatureAlgorithms, ...secretAlgorithms];
  return {
    issuer: settings.issuer,
    jwks_uri: urls.jwks,
    ...buildClientEndpoints(urls),
    // RFC 8705 §5: the same endpoints on the mutual-TLS listener.
    ...(settings.mtls && {
      mtls_endpoint_aliases: buildClientEndpoints(buildEndpointUrls(settings.mtls.url)),
    }),
    // RFC 8705 §3.3: only for clients that are registered for it.
    tls_client_certificate_bound_access_tokens: settings.mtls !== undefined,
    ...(settings.registration.enabled && { registration_endpoint: urls.register }),
    grant_types_supported: [cibaGrantType],
    // There is no browser flow and therefore no response type. Both members are present because some clients reject a
    // document without them (RFC 8414 §2); the endpoint is a page that explains that.
    authorization_endpoint: urls.authorize,
    response_types_supported: [],
    backchannel_token_delivery_modes_supported: deliveryModes,
    backchannel_authentication_request_signing_alg_values_supported: signatureAlgorithms,
    backchannel_user_code_parameter_supported: policy.userCodes,
    token_endpoint_auth_methods_supported: clientMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: clientMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    dpop_signing_alg_values_supported: proofAlgorithms,
    introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["ES256"],
    acr_values_supported: authenticationLevels.map(toAcr),
    scopes_supported: ["openid", ...ungrantedScopes, ...policies.flatMap(({ scope }) => scope ?? [])],
    claims_supported: ["iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr"],
    authorization_details_types_supported: policies.flatMap(({ scope, definition }) =>
      scope ? [] : [definition.type],
    ),
    claims_parameter_supported: false,
    // These concern the authorization endpoint, which is not supported (OpenID Connect Discovery §3). Signed requests to the
    // backchannel authentication endpoint are announced above.
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
    // Countersign's own members.
    spend_endpoint: urls.spend,
    spend_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    action_types_uri: urls.actionTypes,
    log_checkpoint_uri: urls.checkpoint,
  };
}

function buildClientEndpoints(urls: EndpointUrls) {
  return {
    token_endpoint: urls.token,
    backchannel_authentication_endpoint: urls.bcAuthorize,
    introspection_endpoint: urls.introspect,
    revocation_endpoint: urls.revoke,
  };
}
