/**
 * The agent's token request: how its ask stands, and, once, the token (`issue.ts`). Of any number of concurrent requests
 * one gets it and the others see a redeemed approval. If we crash after its commit and before the answer, the token is
 * lost, not doubled.
 */
import { toAgentActor } from "../../audit/actor.ts";
import { getRequestState } from "../../domain/request/request.ts";
import type { Confirmation } from "../../domain/token/token.ts";
import type { PollState, Store, Versioned } from "../../store/store.ts";
import { type IssueDeps, type IssuedToken, type IssueRefusal, issue } from "./issue.ts";
import type { PollWaiters } from "./long-poll.ts";
import type { PollLimiter } from "./poll-limiter.ts";

export type RedeemDeps = IssueDeps & {
  readonly pollLimiter: PollLimiter;
  readonly pollWaiters: PollWaiters;
  /** `open` answers which approval an `auth_req_id` of this agent stands for, or undefined for anything else. */
  readonly authReqIds: { readonly resolve: (authReqId: string, agentId: string) => string | undefined };
};

export type RedeemRefusal =
  | "authorization_pending"
  | "slow_down"
  | "too_fast"
  | "expired_token"
  | "invalid_grant"
  | "unauthorized_client"
  | IssueRefusal;
export type RedeemRefused = { readonly refused: RedeemRefusal; readonly denialReason?: string };

/** A request, and how it stood a moment ago. */
export type RedeemTarget = { readonly id: string; readonly status: PollState | undefined };

/** The agent that a token request says it is from, and what its `auth_req_id` stands for, read at once. */
export async function findRedeemTarget(
  { store, authReqIds }: Pick<RedeemDeps, "store" | "authReqIds">,
  agentId: string,
  authReqId: string | undefined,
): Promise<{ readonly agent: Versioned<"agent"> | undefined; readonly asked?: RedeemTarget }> {
  const id = authReqId === undefined ? undefined : authReqIds.resolve(authReqId, agentId);
  if (id === undefined) return { agent: await store.read("agent", agentId) };
  const { agent, request: status } = await store.readAgentAndStatus(agentId, id);
  return { agent, asked: { id, status } };
}

export type RedeemInput = {
  readonly authReqId: string;
  /** What it was found to stand for, before anybody had authenticated; undefined for nothing of this agent's. */
  readonly asked: RedeemTarget | undefined;
  /** Where the agent means to use the token, if it says so: another API than the approved one gets none. */
  readonly resource?: string | undefined;
  /** The key that the caller has proved, to which the token will be bound. */
  readonly confirmation?: Confirmation | undefined;
  /** How long the agent would wait for an answer, and what tells that it has gone. */
  readonly wait?: { readonly seconds: number; readonly signal: AbortSignal } | undefined;
};

/** `authenticated`: who the agent is, as it proved when the request came in. */
export async function redeem(
  deps: RedeemDeps,
  authenticated: Versioned<"agent">,
  { authReqId, asked, wait, ...use }: RedeemInput,
): Promise<IssuedToken | RedeemRefused> {
  const { store, pollLimiter, pollWaiters } = deps;
  let agent = authenticated;
  if (!asked) return { refused: "invalid_grant" };
  const { id } = asked;
  let status = asked.status;
  if (agent.record.delivery.mode === "push") {
    // What it asked for while it polled, it may still poll for.
    const found = await store.read("request", id);
    if (found?.record.delivery === "push") return { refused: "unauthorized_client" };
  }
  for (let waited = false; ; status = await store.readStatus(id)) {
    const now = store.now();
    if (status?.agent !== agent.record.id) return { refused: "invalid_grant" };
    switch (getRequestState({ expiresAt: status.expiresAt, status: status }, now)) {
      case "pending": {
        if (waited) return { refused: "authorization_pending" };
        const tempo = pollLimiter(authReqId, now, pollWaiters.isHeld(id));
        if (tempo !== "in_time") return { refused: tempo === "too_fast" ? "slow_down" : "too_fast" };
        if (!wait) return { refused: "authorization_pending" };
        await pollWaiters.hold(id, Math.min(now + wait.seconds * 1000, status.expiresAt), wait.signal);
        waited = true;
        // A token that nobody is there to take would be lost.
        if (wait.signal.aborted) return { refused: "authorization_pending" };
        const current = await store.read("agent", agent.record.id);
        if (!current) return { refused: "access_denied" };
        // Whoever has authenticated was another: its secret, its keys or its binding may have ended meanwhile.
        if (current.version !== agent.version && !current.record.paused)
          return { refused: "registration_changed" };
        agent = current;
        break;
      }
      case "denied":
        return await refuseDenied(store, id);
      case "cancelled":
        return { refused: "access_denied" };
      case "expired":
      case "lapsed":
        return { refused: "expired_token" };
      case "redeemed":
        return { refused: "invalid_grant" };
      case "approved": {
        const found = await store.read("request", id);
        const grant = found
          ? await issue(deps, agent, found, { ...use, actor: toAgentActor(agent.record.id) })
          : "conflict";
        if (grant !== "conflict") return grant;
        // Another request got there first, or the clock did: look again. The state has moved on, so this ends.
      }
    }
  }
}

async function refuseDenied(store: Store, id: string): Promise<RedeemRefused> {
  const found = await store.read("request", id);
  const reason = found?.record.status.state === "denied" ? found.record.status.decision.reason : undefined;
  return reason === undefined
    ? { refused: "access_denied" }
    : { refused: "access_denied", denialReason: reason };
}
