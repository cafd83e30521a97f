/** Token introspection (RFC 7662): a token is active if this API may still spend it. Has no side effects. */

import type { PolicySource } from "../../config/policy.ts";
import type { Api } from "../../domain/client/client.ts";
import type { Decision } from "../../domain/request/request.ts";
import { getTokenState, hashToken, type Token } from "../../domain/token/token.ts";
import type { Store } from "../../store/store.ts";

/** An active token, and the decision that it is based on. */
export type IntrospectionResult = { readonly token: Token; readonly decision: Decision };

export async function introspect(
  { store, policy }: { readonly store: Store; readonly policy: PolicySource },
  api: Api,
  accessToken: string,
): Promise<IntrospectionResult | undefined> {
  const found = await store.read("token", hashToken(accessToken));
  if (!found || found.record.audience !== policy.current().apis.get(api.api)?.audience) return undefined;
  if (getTokenState(found.record, store.now()) !== "issued") return undefined;
  const agent = await store.read("agent", found.record.agent);
  if (!agent || agent.record.paused) return undefined;
  const status = (await store.read("request", found.record.requestId))?.record.status;
  return status?.state === "redeemed" ? { token: found.record, decision: status.decision } : undefined;
}
