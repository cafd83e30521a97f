/**
 * `POST /revoke` (RFC 7009): revokes a token of the calling agent. The response is the same for an unknown or expired token,
 * because it is invalid in each case (§2.2).
 */
import { revokeToken } from "../../../usecase/token/revoke.ts";
import type { EndpointHandler } from "../../route.ts";
import { createJsonResponse } from "../../transport/response.ts";
import { type AuthenticationDeps, authenticateAgent } from "../client-authentication.ts";
import { readForm, requireParameter } from "../form.ts";

/** Ignores `token_type_hint`: there is one type of token, looked up by its hash (§2.1). */
export function createRevocationHandler(deps: AuthenticationDeps): EndpointHandler {
  return async (request, peer) => {
    const form = await readForm(request);
    const agent = await authenticateAgent(deps, request, form, peer);
    await revokeToken(deps.store, agent.record.id, requireParameter(form, "token"));
    return createJsonResponse({});
  };
}
