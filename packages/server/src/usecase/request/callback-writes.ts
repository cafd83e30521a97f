/**
 * What becomes of an agent's callback when it asks, and when there is an answer: writes of the very commit that asks or
 * answers, so that what was acknowledged is also told. Sending is `notify.ts`.
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

/** How an ask wants to be answered, where not by polling. */
export type CallbackSettings = Pick<Callback, "mode" | "sealedToken">;
type CallbackRefused = { readonly refused: "unauthorized_client" | "invalid_request"; readonly why: string };

/** Undefined for an agent that polls. Nothing is pushed that must not be, and nobody called without its token. */
export async function readCallback(
  { seal }: Seal,
  agent: Agent,
  policies: readonly ActionPolicy[],
  notificationToken: string | undefined,
): Promise<CallbackSettings | CallbackRefused | undefined> {
  const { mode } = agent.delivery;
  if (mode === "poll") return undefined;
  const definitions = policies.map(({ definition }) => definition);
  const fault = mode === "push" ? findPushFault(agent, definitions) : undefined;
  if (fault !== undefined) return { refused: "unauthorized_client", why: fault };
  if (notificationToken === undefined)
    return { refused: "invalid_request", why: `a ${mode} client gives a client_notification_token` };
  return { mode, sealedToken: await seal(notificationToken) };
}

/** With a new request. */
export function createCallback(
  wanted: CallbackSettings | undefined,
  { id, agent, createdAt }: ApprovalRequest,
): readonly Write<"callback">[] {
  if (!wanted) return [];
  return [{ put: "callback", record: newCallback({ ...wanted, id, agent }, createdAt), ifVersion: absent }];
}

/** With an ask that joins a request: the agent may have lost what it was told the first time, and listens anew. */
export async function updateCallbackToken(
  store: Store,
  wanted: CallbackSettings | undefined,
  request: ApprovalRequest,
  now: number,
): Promise<readonly Write<"callback">[]> {
  const { id, agent, delivery } = request;
  const answered = getRequestState(request, now) !== "pending";
  // Asked while the agent polled, its answer will not look for a callback.
  if (!wanted || (delivery === "poll" && !answered)) return [];
  const found = await store.read("callback", id);
  const fresh = newCallback({ ...wanted, id, agent }, now);
  const record = replaceToken(found?.record, fresh, answered, now);
  return [{ put: "callback", record, ifVersion: found?.version ?? absent }];
}

/** With an answer: approved, denied, withdrawn, or out of time. */
export async function queueCallback(
  store: Store,
  { id, delivery }: ApprovalRequest,
  now: number,
): Promise<readonly Write<"callback">[]> {
  if (delivery === "poll") return [];
  const found = await store.read("callback", id);
  const record = found && queue(found.record, now);
  return record ? [{ put: "callback", record, ifVersion: found.version }] : [];
}
