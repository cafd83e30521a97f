/**
 * `POST /revoke` (RFC 7009), for the agent whose token it is. The answer is the same whether there was anything to end:
 * what the client wants, that the token is good for nothing new, is so in each case (§2.2).
 */
import { revokeToken } from "../../../usecase/token/revoke.ts";
import type { HttpDeps } from "../../deps.ts";
import type { TlsPeer } from "../../transport/peer.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { type Answer, answerJson } from "../../transport/response.ts";
import { authenticateAgent } from "../client-authentication.ts";
import { readForm, required } from "../form.ts";

/** `token_type_hint` is not needed: there is one kind of token, found by its hash (§2.1). */
export async function revocation(deps: HttpDeps, call: ProtocolRequest, peer: TlsPeer): Promise<Answer> {
  const form = await readForm(call);
  const agent = await authenticateAgent(deps, call, form, peer);
  await revokeToken(deps.store, agent.record.id, required(form, "token"));
  return answerJson({});
}
