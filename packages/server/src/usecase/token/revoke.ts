/**
 * Token revocation by the agent (RFC 7009). Only an unspent token is revoked: a reserved one is in use, and the log
 * will record its end. Other tokens are left unchanged.
 */

import { toAgentActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { hashToken, revoke } from "../../domain/token/token.ts";
import type { Store } from "../../store/store.ts";

/** Returns `unchanged` if the token is unknown, of another agent, in use, or over. */
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
