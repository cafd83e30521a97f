/**
 * An agent gives up a token that nobody has begun to use (RFC 7009). One that is reserved stays so: the API is acting, and
 * the log will say how it ended. Whatever is not ours to end, or has ended, is left as it is.
 */
import type { Store } from "../store/store.ts";
import { hashToken, revoke } from "../token/token.ts";
import { newEntry } from "./entry.ts";

/** `revoked`: it ends here and now. `unchanged`: it is unknown, another agent's, in use, or over. */
export async function revokeToken(
  store: Store,
  agentId: string,
  accessToken: string,
): Promise<"revoked" | "unchanged"> {
  for (;;) {
    const held = await store.read("token", hashToken(accessToken));
    if (held?.record.agent !== agentId) return "unchanged";
    const now = store.now();
    const next = revoke(held.record, now);
    if ("refused" in next) return "unchanged";
    const { approval: request, jti: token, digest } = held.record;
    const outcome = await store.commit({
      before: held.record.expiresAt,
      writes: [{ put: "token", record: next, expect: held.version }],
      entries: [newEntry("token.revoked", now, { request, agent: agentId, token, digest })],
    });
    if (outcome === "committed") return "revoked";
  }
}
