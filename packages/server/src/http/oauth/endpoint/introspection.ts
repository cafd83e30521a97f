/**
 * `POST /introspect` (RFC 7662), for the API in the token's audience. A token is active while it is issued and not spent. For
 * any other token the response is `active: false` and no reason (§2.2). Ignores `token_type_hint`: there is one kind of token.
 */
import type { PolicySource } from "../../../config/policy.ts";
import type { Settings } from "../../../config/sections.ts";
import { toAcr } from "../../../domain/policy/level.ts";
import { toAuthorizationDetails, toTypeHashClaim } from "../../../domain/token/token.ts";
import type { Store } from "../../../store/store.ts";
import { type IntrospectionResult, introspect } from "../../../usecase/token/introspect.ts";
import type { EndpointHandler } from "../../route.ts";
import { createJsonResponse } from "../../transport/response.ts";
import { authenticateApi } from "../client-authentication.ts";
import { readForm, requireParameter } from "../form.ts";

export type IntrospectionDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly settings: Pick<Settings, "issuer">;
};

export function createIntrospectionHandler(deps: IntrospectionDeps): EndpointHandler {
  return async (request) => {
    const form = await readForm(request);
    const api = await authenticateApi(deps.store, request, form);
    const found = await introspect(deps, api, requireParameter(form, "token"));
    return createJsonResponse(
      found ? toIntrospectionResponse(found, deps.settings.issuer) : { active: false },
    );
  };
}

/** Returns the claims of the token (RFC 9068 §2.2), so that an API that introspects need not parse it. */
function toIntrospectionResponse({ token, decision }: IntrospectionResult, issuer: string) {
  return {
    active: true,
    iss: issuer,
    aud: token.audience,
    sub: token.subject,
    client_id: token.agent,
    jti: token.jti,
    iat: Math.floor(token.issuedAt / 1000),
    exp: Math.floor(token.expiresAt / 1000),
    auth_time: Math.floor(decision.authenticatedAt / 1000),
    acr: toAcr(decision.level),
    amr: decision.amr,
    scope: token.scope,
    token_type: token.confirmation && "jkt" in token.confirmation ? "DPoP" : "Bearer",
    ...(token.confirmation && { cnf: token.confirmation }),
    authorization_details: toAuthorizationDetails(token),
    act_digest: token.digest,
    ...toTypeHashClaim(token),
    approved_by: token.approvedBy,
  };
}
