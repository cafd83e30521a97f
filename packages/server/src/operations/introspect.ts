/** RFC 7662: whether a token may still be spent by this API. Active only while issued; asking changes nothing. */
import type { Api } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import type { Store } from "../store/store.ts";
import { hashToken, stateAt, type Token } from "../token/token.ts";

export async function introspect(
  { store, config }: { readonly store: Store; readonly config: Config },
  api: Api,
  accessToken: string,
): Promise<Token | undefined> {
  const held = await store.read("token", hashToken(accessToken));
  if (!held || held.record.audience !== config.apis.get(api.api)?.audience) return undefined;
  if (stateAt(held.record, store.now()) !== "issued") return undefined;
  const agent = await store.read("agent", held.record.agent);
  return agent && !agent.record.paused ? held.record : undefined;
}
