/**
 * The state machine of an approval request. Pure: the time is an argument, and the result is the next value or a refusal. It
 * does not check authority; that is `domain/policy/approver-policy.ts`.
 *
 *                 approve                 redeem
 *      pending ─────────────▶ approved ───────────▶ redeemed
 *        │ │ │                    │  │
 *        │ │ └─ deny ──▶ denied   │  └─ (expiresAt) ─▶ lapsed
 *        │ └─── cancel ─────────▶ cancelled ◀── cancel
 *        └───── (expiresAt) ────▶ expired
 *
 * Denied, expired, cancelled, lapsed and redeemed are final and distinct.
 */
import type { ActionPart, AuthenticationLevel, RequestState } from "@countersign/protocol";
import type { Card } from "../action/card.ts";
import type { DeliveryMode } from "../client/client.ts";

/** One part of the action, and the key of the denial that would block it. */
export type RequestPart = Readonly<ActionPart> & { readonly denyKey: string };

/** The immutable content of a request. */
export type RequestContent = {
  readonly id: string;
  readonly agent: string;
  /** At least one part: digested, signed, contained in the token and recomputed by the verifier. */
  readonly parts: readonly RequestPart[];
  readonly audience: string;
  readonly digest: string;
  readonly card: Card;
  readonly cardHash: string;
  /** The `scope` of the token: `openid`, and the requested scope if the action is a scope. */
  readonly scope: string;
  /** Ids of the approvers, each of whom may decide, as the policy selected them when the request was created. */
  readonly candidates: readonly string[];
  readonly level: AuthenticationLevel;
  readonly tokenLifetimeSeconds: number;
  readonly dedupeKey: string;
  /** The trace of the ask (W3C Trace Context), if there is one. */
  readonly traceparent?: string;
  /** The agent's delivery mode when it asked. */
  readonly delivery: DeliveryMode;
  readonly createdAt: number;
  /** Decisions are accepted before this instant. */
  readonly decideBy: number;
  readonly expiresAt: number;
};

/** An approver's decision, and how the approver was authenticated. */
export type Decision = {
  readonly approver: string;
  readonly at: number;
  readonly level: AuthenticationLevel;
  readonly authenticatedAt: number;
  readonly amr: readonly string[];
  /** The approver's reason. Only a denial has one. */
  readonly reason?: string;
};

/** The current state, with what belongs to it. */
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

/** Why an event changes nothing: the state, or `closed`: too late to decide, not yet expired. */
export type RequestRefusal = Exclude<RequestState, "pending"> | "pending" | "closed";
export type RequestRefused = { readonly refused: RequestRefusal };

/** Computes when deciding closes: five seconds before expiry, or a tenth of the lifetime if that is less. */
export function computeDecideBy(createdAt: number, expiresAt: number): number {
  return expiresAt - Math.min(5_000, Math.floor((expiresAt - createdAt) / 10));
}

/** Returns the state at `now`. A request expires by the clock, whether or not the sweeper has recorded it. */
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

/** Cancels a pending or approved request. Refused once a token was issued. */
export function cancel(request: ApprovalRequest, now: number): ApprovalRequest | RequestRefused {
  const state = getRequestState(request, now);
  if (state !== "pending" && state !== "approved") return { refused: state };
  return { ...request, status: { state: "cancelled", endedAt: now } };
}

/** Marks an approved request as redeemed, once. */
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

/** Records what the clock has decided: pending becomes expired, approved becomes lapsed. */
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
