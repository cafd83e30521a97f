/**
 * Token request of an agent (CIBA): returns the state of its request and, once, the token (`issue.ts`). Of concurrent
 * requests one gets it; the others find the request redeemed. A crash between commit and response loses the token but
 * never issues two.
 */
import { toAgentActor } from "../../audit/actor.ts";
import { getRequestState } from "../../domain/request/request.ts";
import type { Confirmation } from "../../domain/token/token.ts";
import type { PollState, Store, Versioned } from "../../store/store.ts";
import { type IssueDeps, type IssuedToken, type IssueRefusal, issueToken } from "./issue.ts";
import type { PollWaiters } from "./long-poll.ts";
import type { PollLimiter } from "./poll-limiter.ts";

export type RedeemDeps = IssueDeps & {
  readonly pollLimiter: PollLimiter;
  readonly pollWaiters: PollWaiters;
  /**
   * Verifies the HMAC of an `auth_req_id` and returns the request id in it. Returns undefined for an `auth_req_id` of another
   * agent and for any other text. Reads no store, so the request may not exist.
   */
  readonly authReqIds: { readonly resolve: (authReqId: string, agentId: string) => string | undefined };
};

export type RedeemRefusal =
  | "authorization_pending"
  | "slow_down"
  | "rate_limited"
  | "expired_token"
  | "invalid_grant"
  | "unauthorized_client"
  | IssueRefusal;
export type RedeemRefused = { readonly refused: RedeemRefusal; readonly denialReason?: string };

/** The request behind an `auth_req_id`. `status`: as read, undefined if the request does not exist. */
export type RequestLookup = { readonly id: string; readonly status: PollState | undefined };

/**
 * Reads the agent that the request claims to be from and the status of the request behind its `auth_req_id`, in one query.
 * Called before authentication, which needs the agent record: the caller must authenticate before it uses `lookup`.
 */
export async function readAgentAndRequest(
  { store, authReqIds }: Pick<RedeemDeps, "store" | "authReqIds">,
  agentId: string,
  authReqId: string | undefined,
): Promise<{ readonly agent: Versioned<"agent"> | undefined; readonly lookup?: RequestLookup }> {
  const id = authReqId === undefined ? undefined : authReqIds.resolve(authReqId, agentId);
  if (id === undefined) return { agent: await store.read("agent", agentId) };
  const { agent, request: status } = await store.readAgentAndStatus(agentId, id);
  return { agent, lookup: { id, status } };
}

export type RedeemInput = {
  readonly authReqId: string;
  /** What `readAgentAndRequest` found for `authReqId`; undefined if it is not an `auth_req_id` of this agent. */
  readonly lookup: RequestLookup | undefined;
  /** `resource` (RFC 8707), if given; it must be the approved API. */
  readonly resource?: string | undefined;
  /** The key that the caller proved; the token is bound to it. */
  readonly confirmation?: Confirmation | undefined;
  /** Long polling: maximum time, and the signal that aborts on disconnect. */
  readonly wait?: { readonly seconds: number; readonly signal: AbortSignal } | undefined;
};

/** `authenticated` is the agent record that the caller authenticated with. */
export async function redeem(
  deps: RedeemDeps,
  authenticated: Versioned<"agent">,
  { authReqId, lookup, wait, ...issueOptions }: RedeemInput,
): Promise<IssuedToken | RedeemRefused> {
  const { store, pollLimiter, pollWaiters } = deps;
  let agent = authenticated;
  if (!lookup) return { refused: "invalid_grant" };
  const { id } = lookup;
  let status = lookup.status;
  if (agent.record.delivery.mode === "push") {
    // Requests created in another delivery mode may still be polled.
    const found = await store.read("request", id);
    if (found?.record.delivery === "push") return { refused: "unauthorized_client" };
  }
  for (let waited = false; ; status = await store.readStatus(id)) {
    const now = store.now();
    if (status?.agent !== agent.record.id) return { refused: "invalid_grant" };
    switch (getRequestState({ expiresAt: status.expiresAt, status }, now)) {
      case "pending": {
        if (waited) return { refused: "authorization_pending" };
        const limit = pollLimiter(authReqId, now, pollWaiters.isWaiting(id));
        if (limit !== "ok") return { refused: limit };
        if (!wait) return { refused: "authorization_pending" };
        await pollWaiters.wait(id, Math.min(now + wait.seconds * 1000, status.expiresAt), wait.signal);
        waited = true;
        // Do not issue a token that the disconnected client cannot receive.
        if (wait.signal.aborted) return { refused: "authorization_pending" };
        const current = await store.read("agent", agent.record.id);
        if (!current) return { refused: "access_denied" };
        // The registration changed while waiting, so the authentication may not be valid any more.
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
        const issued = found
          ? await issueToken(deps, agent, found, { ...issueOptions, actor: toAgentActor(agent.record.id) })
          : "conflict";
        if (issued !== "conflict") return issued;
        // Another request or the clock was first: read again. The state has changed, so the loop ends.
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
