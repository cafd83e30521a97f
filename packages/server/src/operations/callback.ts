/**
 * What becomes of an agent's callback when it asks, and when there is an answer: writes of the very commit that asks or
 * answers, so that what was acknowledged is also told. Sending is `notify.ts`.
 */
import type { ActionRule } from "../action/definition.ts";
import { type Approval, stateAt } from "../approval/approval.ts";
import { announce, type Callback, open, pushFault, readdress } from "../client/callback.ts";
import type { Agent } from "../client/client.ts";
import { absent, type Store, type Write } from "../store/store.ts";
import type { Seal } from "./secret.ts";

/** How an ask wants to be answered, where not by polling. */
export type Wanted = Pick<Callback, "mode" | "sealedToken">;
type Refused = { readonly refused: "unauthorized_client" | "invalid_request"; readonly why: string };

/** Undefined for an agent that polls. Nothing is pushed that must not be, and nobody called without its token. */
export async function readCallback(
  { seal }: Seal,
  agent: Agent,
  rules: readonly ActionRule[],
  notificationToken: string | undefined,
): Promise<Wanted | Refused | undefined> {
  const { mode } = agent.delivery;
  if (mode === "poll") return undefined;
  const definitions = rules.map(({ definition }) => definition);
  const fault = mode === "push" ? pushFault(agent, definitions) : undefined;
  if (fault !== undefined) return { refused: "unauthorized_client", why: fault };
  if (notificationToken === undefined)
    return { refused: "invalid_request", why: `a ${mode} client gives a client_notification_token` };
  return { mode, sealedToken: await seal(notificationToken) };
}

/** With a new request. */
export function opened(
  wanted: Wanted | undefined,
  { id, agent, createdAt }: Approval,
): readonly Write<"callback">[] {
  if (!wanted) return [];
  return [{ put: "callback", record: open({ ...wanted, id, agent }, createdAt), expect: absent }];
}

/** With an ask that joins a request: the agent may have lost what it was told the first time, and listens anew. */
export async function readdressed(
  store: Store,
  wanted: Wanted | undefined,
  approval: Approval,
  now: number,
): Promise<readonly Write<"callback">[]> {
  const { id, agent, delivery } = approval;
  const answered = stateAt(approval, now) !== "pending";
  // Asked while the agent polled, its answer will not look for a callback.
  if (!wanted || (delivery === "poll" && !answered)) return [];
  const held = await store.read("callback", id);
  const fresh = open({ ...wanted, id, agent }, now);
  const record = readdress(held?.record, fresh, answered, now);
  return [{ put: "callback", record, expect: held?.version ?? absent }];
}

/** With an answer: approved, denied, withdrawn, or out of time. */
export async function announced(
  store: Store,
  { id, delivery }: Approval,
  now: number,
): Promise<readonly Write<"callback">[]> {
  if (delivery === "poll") return [];
  const held = await store.read("callback", id);
  const record = held && announce(held.record, now);
  return record ? [{ put: "callback", record, expect: held.version }] : [];
}
