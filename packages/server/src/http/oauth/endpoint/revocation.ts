/**
 * `POST /revoke` (RFC 7009), for the agent whose token it is. The answer is the same whether there was anything to end:
 * what the client wants, that the token is good for nothing new, is so in each case (§2.2).
 */
import { revokeToken } from "../../../usecase/token/revoke.ts";
import type { EndpointHandler } from "../../route.ts";
import { createJsonResponse } from "../../transport/response.ts";
import { type AuthenticationDeps, authenticateAgent } from "../client-authentication.ts";
import { readForm, requireParameter } from "../form.ts";

/** `token_type_hint` is not needed: there is one kind of token, found by its hash (§2.1). */
export function createRevocationHandler(deps: AuthenticationDeps): EndpointHandler {
  return async (request, peer) => {
    const form = await readForm(request);
    const agent = await authenticateAgent(deps, request, form, peer);
    await revokeToken(deps.store, agent.record.id, requireParameter(form, "token"));
    return createJsonResponse({});
  };
}
