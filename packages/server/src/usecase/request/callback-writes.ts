/**
 * Writes of an agent's callback (CIBA ping and push). They belong into the commit that creates or ends the request, so that
 * an acknowledged result is also delivered. `job/send-callback.ts` sends it.
 */
import type { Seal } from "../../crypto/secret.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import {
  type Callback,
  findPushFault,
  newCallback,
  queue,
  replaceToken,
} from "../../domain/callback/callback.ts";
import type { Agent } from "../../domain/client/client.ts";
import { type ApprovalRequest, getRequestState } from "../../domain/request/request.ts";
import { absent, type Store, type Write } from "../../store/store.ts";

/** Delivery mode and sealed notification token of an ask by ping or push. */
export type CallbackSettings = Pick<Callback, "mode" | "sealedToken">;
type CallbackRefused = { readonly refused: "unauthorized_client" | "invalid_request"; readonly why: string };

/** Seals the notification token. Refuses a push that is not allowed, and a missing notification token. */
export async function readCallback(
  { seal }: Seal,
  agent: Agent,
  mode: Callback["mode"],
  policies: readonly ActionPolicy[],
  notificationToken: string | undefined,
): Promise<CallbackSettings | CallbackRefused> {
  const definitions = policies.map(({ definition }) => definition);
  const fault = mode === "push" ? findPushFault(agent, definitions) : undefined;
  if (fault !== undefined) return { refused: "unauthorized_client", why: fault };
  if (notificationToken === undefined)
    return { refused: "invalid_request", why: `client_notification_token is required for ${mode}` };
  return { mode, sealedToken: await seal(notificationToken) };
}

/** Returns the write for a new request. */
export function createCallback(
  settings: CallbackSettings,
  { id, agent, createdAt }: ApprovalRequest,
): Write<"callback"> {
  return { put: "callback", record: newCallback({ ...settings, id, agent }, createdAt), ifVersion: absent };
}

/** Returns the write for an ask that joins an existing request: the agent may have lost the first response and waits again. */
export async function updateCallbackToken(
  store: Store,
  settings: CallbackSettings,
  request: ApprovalRequest,
  now: number,
): Promise<readonly Write<"callback">[]> {
  const { id, agent, delivery } = request;
  const hasEnded = getRequestState(request, now) !== "pending";
  // A request that was created in poll mode queues no callback when it ends.
  if (delivery === "poll" && !hasEnded) return [];
  const found = await store.read("callback", id);
  const replacement = newCallback({ ...settings, id, agent }, now);
  const record = replaceToken(found?.record, replacement, hasEnded, now);
  return [{ put: "callback", record, ifVersion: found?.version ?? absent }];
}

/** Returns the write that queues the callback of a ping or push request that is approved, denied, cancelled or expired. */
export async function queueCallback(
  store: Store,
  { id }: ApprovalRequest,
  now: number,
): Promise<readonly Write<"callback">[]> {
  const found = await store.read("callback", id);
  const record = found && queue(found.record, now);
  return record ? [{ put: "callback", record, ifVersion: found.version }] : [];
}
