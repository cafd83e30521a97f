/**
 * An agent gives up a token that nobody has begun to use (RFC 7009). One that is reserved stays so: the API is acting, and
 * the log will say how it ended. Whatever is not ours to end, or has ended, is left as it is.
 */

import { toAgentActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { hashToken, revoke } from "../../domain/token/token.ts";
import type { Store } from "../../store/store.ts";

/** `revoked`: it ends here and now. `unchanged`: it is unknown, another agent's, in use, or over. */
export async function revokeToken(
  store: Store,
  agentId: string,
  accessToken: string,
): Promise<"revoked" | "unchanged"> {
  for (;;) {
    const found = await store.read("token", hashToken(accessToken));
    if (found?.record.agent !== agentId) return "unchanged";
    const now = store.now();
    const next = revoke(found.record, now);
    if ("refused" in next) return "unchanged";
    const { requestId: request, jti: token, digest } = found.record;
    const outcome = await store.commit({
      notOnOrAfter: found.record.expiresAt,
      writes: [{ put: "token", record: next, ifVersion: found.version }],
      entries: [
        newEntry("token.revoked", now, {
          actor: toAgentActor(agentId),
          request,
          agent: agentId,
          token,
          digest,
        }),
      ],
    });
    if (outcome === "committed") return "revoked";
  }
}
