/**
 * The approval: what becomes of one request, as a pure state machine. No clock, no I/O: the time is an argument
 * and the answer is the next value or a refusal. It never reads who is allowed to decide; that is `approver/rule.ts`.
 *
 *                 approve                 redeem
 *      pending ─────────────▶ approved ───────────▶ redeemed
 *        │ │ │                    │  │
 *        │ │ └─ deny ──▶ denied   │  └─ (expiresAt) ─▶ lapsed
 *        │ └─── cancel ─────────▶ cancelled ◀── cancel
 *        └───── (expiresAt) ────▶ expired
 *
 * denied, expired, cancelled, lapsed and redeemed are final and distinct.
 */
import type { ActionPart, AuthenticationLevel, RequestState } from "@countersign/protocol";
import type { Card } from "../action/card.ts";
import type { DeliveryMode } from "../client/client.ts";

/** One thing that would be done, and the key under which a denial of it is remembered. */
export type RequestPart = Readonly<ActionPart> & { readonly denyKey: string };

/** What was asked: written once, never changed. */
export type RequestContent = {
  readonly id: string;
  readonly agent: string;
  /** What would be done, never empty: digested, signed, put into the token and recomputed by the verifier. */
  readonly parts: readonly RequestPart[];
  readonly audience: string;
  readonly digest: string;
  readonly card: Card;
  readonly cardHash: string;
  /** The `scope` granted with the token: `openid`, and the scope asked for where a scope is the action. */
  readonly scope: string;
  /** Approvers any one of whom may decide, as the operator's rule chose them when it was asked. */
  readonly candidates: readonly string[];
  readonly level: AuthenticationLevel;
  readonly tokenLifetimeSeconds: number;
  readonly dedupeKey: string;
  /** The trace that the ask was part of (W3C Trace Context), where there is one. */
  readonly traceparent?: string;
  /** How the agent learns of the answer, as it was registered when it asked. */
  readonly delivery: DeliveryMode;
  readonly createdAt: number;
  /** The last instant at which a decision is taken is just before this one. */
  readonly decideBy: number;
  readonly expiresAt: number;
};

/** A person's answer, and how they proved who they are. */
export type Decision = {
  readonly approver: string;
  readonly at: number;
  readonly level: AuthenticationLevel;
  readonly authenticatedAt: number;
  readonly amr: readonly string[];
  /** Why not, in the approver's words. Only a denial has one. */
  readonly reason?: string;
};

/** Where it stands. */
export type RequestStatus =
  | { readonly state: "pending" }
  | { readonly state: "approved"; readonly decision: Decision }
  | { readonly state: "denied"; readonly decision: Decision; readonly endedAt: number }
  | { readonly state: "expired"; readonly endedAt: number }
  | { readonly state: "lapsed"; readonly decision: Decision; readonly endedAt: number }
  | { readonly state: "cancelled"; readonly endedAt: number }
  | {
      readonly state: "redeemed";
      readonly decision: Decision;
      readonly endedAt: number;
      readonly token: string;
    };

export type ApprovalRequest = RequestContent & { readonly status: RequestStatus };

/** Why an event changes nothing. `closed`: too late to decide, too early to call it expired. */
export type RequestRefusal = Exclude<RequestState, "pending"> | "pending" | "closed";
export type RequestRefused = { readonly refused: RequestRefusal };

/** When deciding closes: five seconds before expiry, or a tenth of the lifetime if that is less. */
export function computeDecideBy(createdAt: number, expiresAt: number): number {
  return expiresAt - Math.min(5_000, Math.floor((expiresAt - createdAt) / 10));
}

/** The state at `now`. Expiry is a fact of the clock, whether or not anybody has written it down yet. */
export function getRequestState(
  request: { readonly expiresAt: number; readonly status: { readonly state: RequestState } },
  now: number,
): RequestState {
  const { state } = request.status;
  if (now < request.expiresAt) return state;
  if (state === "pending") return "expired";
  return state === "approved" ? "lapsed" : state;
}

export function approve(
  request: ApprovalRequest,
  decision: Decision,
  now: number,
): ApprovalRequest | RequestRefused {
  const refused = checkDecidable(request, now);
  return refused ?? { ...request, status: { state: "approved", decision } };
}

export function deny(
  request: ApprovalRequest,
  decision: Decision,
  now: number,
): ApprovalRequest | RequestRefused {
  const refused = checkDecidable(request, now);
  return refused ?? { ...request, status: { state: "denied", decision, endedAt: now } };
}

/** The operator withdraws the request, also after it was approved, as long as no token exists. */
export function cancel(request: ApprovalRequest, now: number): ApprovalRequest | RequestRefused {
  const state = getRequestState(request, now);
  if (state !== "pending" && state !== "approved") return { refused: state };
  return { ...request, status: { state: "cancelled", endedAt: now } };
}

/** Turns the approval into a token, once. */
export function redeem(
  request: ApprovalRequest,
  token: string,
  now: number,
): ApprovalRequest | RequestRefused {
  const { status } = request;
  const state = getRequestState(request, now);
  if (state !== "approved" || status.state !== "approved") return { refused: state };
  return { ...request, status: { state: "redeemed", decision: status.decision, endedAt: now, token } };
}

/** Writes down what the clock has already done: pending becomes expired, approved becomes lapsed. */
export function expireRequest(request: ApprovalRequest, now: number): ApprovalRequest | RequestRefused {
  const { status, expiresAt } = request;
  if (now < expiresAt) return { refused: status.state };
  if (status.state === "pending") return { ...request, status: { state: "expired", endedAt: expiresAt } };
  if (status.state === "approved")
    return { ...request, status: { state: "lapsed", decision: status.decision, endedAt: expiresAt } };
  return { refused: status.state };
}

function checkDecidable(request: ApprovalRequest, now: number): RequestRefused | undefined {
  const state = getRequestState(request, now);
  if (state !== "pending") return { refused: state };
  return now < request.decideBy ? undefined : { refused: "closed" };
}
