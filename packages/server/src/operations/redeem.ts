/**
 * The agent's token request: how its ask stands, and, once, the token (`issue.ts`). Of any number of concurrent requests
 * one gets it and the others see a redeemed approval. If we crash after its commit and before the answer, the token is
 * lost, not doubled.
 */
import { stateAt } from "../approval/approval.ts";
import type { Held, Standing, Store } from "../store/store.ts";
import type { Confirmation } from "../token/token.ts";
import type { Holds } from "./hold.ts";
import { type Grant, type IssueGround, type IssueRefusal, issue } from "./issue.ts";
import type { Pace } from "./pace.ts";

export type RedeemGround = IssueGround & {
  readonly pace: Pace;
  readonly holds: Holds;
  /** `open` answers which approval an `auth_req_id` of this agent stands for, or undefined for anything else. */
  readonly tickets: { readonly open: (authReqId: string, agentId: string) => string | undefined };
};

export type RedeemRefusal =
  | "authorization_pending"
  | "slow_down"
  | "too_fast"
  | "expired_token"
  | "invalid_grant"
  | "unauthorized_client"
  | IssueRefusal;
export type Refused = { readonly refused: RedeemRefusal; readonly denialReason?: string };

/** A request, and how it stood a moment ago. */
export type Asked = { readonly id: string; readonly standing: Standing | undefined };

/** The agent that a token request says it is from, and what its `auth_req_id` stands for, read at once. */
export async function lookUp(
  { store, tickets }: Pick<RedeemGround, "store" | "tickets">,
  agentId: string,
  authReqId: string | undefined,
): Promise<{ readonly agent: Held<"agent"> | undefined; readonly asked?: Asked }> {
  const id = authReqId === undefined ? undefined : tickets.open(authReqId, agentId);
  if (id === undefined) return { agent: await store.read("agent", agentId) };
  const { agent, standing } = await store.polling(agentId, id);
  return { agent, asked: { id, standing } };
}

export type RedeemInput = {
  readonly authReqId: string;
  /** What it was found to stand for, before anybody had authenticated; undefined for nothing of this agent's. */
  readonly asked: Asked | undefined;
  /** Where the agent means to use the token, if it says so: another API than the approved one gets none. */
  readonly resource?: string | undefined;
  /** The key that the caller has proved, to which the token will be bound. */
  readonly confirmation?: Confirmation | undefined;
  /** How long the agent would wait for an answer, and what tells that it has gone. */
  readonly wait?: { readonly seconds: number; readonly signal: AbortSignal } | undefined;
};

/** `authenticated`: who the agent is, as it proved when the request came in. */
export async function redeem(
  ground: RedeemGround,
  authenticated: Held<"agent">,
  { authReqId, asked, wait, ...use }: RedeemInput,
): Promise<Grant | Refused> {
  const { store, pace, holds } = ground;
  let agent = authenticated;
  if (!asked) return { refused: "invalid_grant" };
  const { id } = asked;
  let standing = asked.standing;
  if (agent.record.delivery.mode === "push") {
    // What it asked for while it polled, it may still poll for.
    const held = await store.read("approval", id);
    if (held?.record.delivery === "push") return { refused: "unauthorized_client" };
  }
  for (let waited = false; ; standing = await store.standing(id)) {
    const now = store.now();
    if (standing?.agent !== agent.record.id) return { refused: "invalid_grant" };
    switch (stateAt({ expiresAt: standing.expiresAt, standing }, now)) {
      case "pending": {
        if (waited) return { refused: "authorization_pending" };
        const tempo = pace(authReqId, now, holds.isHeld(id));
        if (tempo !== "in_time") return { refused: tempo === "too_fast" ? "slow_down" : "too_fast" };
        if (!wait) return { refused: "authorization_pending" };
        await holds.hold(id, Math.min(now + wait.seconds * 1000, standing.expiresAt), wait.signal);
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
        return await denied(store, id);
      case "cancelled":
        return { refused: "access_denied" };
      case "expired":
      case "lapsed":
        return { refused: "expired_token" };
      case "redeemed":
        return { refused: "invalid_grant" };
      case "approved": {
        const held = await store.read("approval", id);
        const grant = held ? await issue(ground, agent, held, use) : "conflict";
        if (grant !== "conflict") return grant;
        // Another request got there first, or the clock did: look again. The state has moved on, so this ends.
      }
    }
  }
}

async function denied(store: Store, id: string): Promise<Refused> {
  const held = await store.read("approval", id);
  const reason = held?.record.standing.state === "denied" ? held.record.standing.decision.reason : undefined;
  return reason === undefined
    ? { refused: "access_denied" }
    : { refused: "access_denied", denialReason: reason };
}
