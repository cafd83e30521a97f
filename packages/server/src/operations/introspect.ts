/** RFC 7662: whether a token may still be spent by this API. Active only while issued; asking changes nothing. */
import type { Decision } from "../approval/approval.ts";
import type { Api } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import type { Store } from "../store/store.ts";
import { hashToken, stateAt, type Token } from "../token/token.ts";

/** A token that may be spent, and what it stands for. */
export type Introspected = { readonly token: Token; readonly decision: Decision };

export async function introspect(
  { store, config }: { readonly store: Store; readonly config: Config },
  api: Api,
  accessToken: string,
): Promise<Introspected | undefined> {
  const held = await store.read("token", hashToken(accessToken));
  if (!held || held.record.audience !== config.apis.get(api.api)?.audience) return undefined;
  if (stateAt(held.record, store.now()) !== "issued") return undefined;
  const agent = await store.read("agent", held.record.agent);
  if (!agent || agent.record.paused) return undefined;
  const standing = (await store.read("approval", held.record.approval))?.record.standing;
  return standing?.state === "redeemed" ? { token: held.record, decision: standing.decision } : undefined;
}
