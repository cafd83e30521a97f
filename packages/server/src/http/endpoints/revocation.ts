/**
 * `POST /revoke` (RFC 7009), for the agent whose token it is. The answer is the same whether there was anything to end:
 * what the client wants, that the token is good for nothing new, is so in each case (§2.2).
 */
import { revokeToken } from "../../operations/revoke.ts";
import { type Answer, answerJson } from "../answer.ts";
import type { Call } from "../call.ts";
import { authenticateAgent } from "../client-authentication.ts";
import { readForm, required } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import type { Peer } from "../peer.ts";

/** `token_type_hint` is not needed: there is one kind of token, found by its hash (§2.1). */
export async function revocation(ground: HttpGround, call: Call, peer: Peer): Promise<Answer> {
  const form = await readForm(call);
  const agent = await authenticateAgent(ground, call, form, peer);
  await revokeToken(ground.store, agent.record.id, required(form, "token"));
  return answerJson({});
}
