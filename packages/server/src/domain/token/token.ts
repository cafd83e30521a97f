/**
 * The state machine of an issued token. Pure. A token is spent at most once: no transition returns to `issued`. The access
 * token itself is not stored; its hash is the key of the record.
 *
 *      issued ── reserve ──▶ reserved ── complete ──▶ completed
 *        │                      ├────── fail ───────▶ failed
 *        │                      └────── (timeout) ──▶ unknown
 *        ├── (expiresAt) ──▶ expired
 *        └── revoke ───────▶ revoked
 *
 * `unknown`: an API reserved the token and did not report the outcome within ten minutes. The token stays used; a late
 * report is still accepted.
 */
import { hash } from "node:crypto";
import type { ActionPart, JsonObject, TokenState } from "@countersign/protocol";

/** The `cnf` claim (RFC 9449 §6, RFC 8705 §3.1), in wire spelling. */
export type Confirmation = { readonly jkt: string } | { readonly "x5t#S256": string };

export type Token = {
  /** base64url SHA-256 of the access token as sent on the wire. */
  readonly hash: string;
  readonly jti: string;
  readonly requestId: string;
  readonly agent: string;
  readonly subject: string;
  readonly approvedBy: readonly string[];
  /** The approved parts; at least one. */
  readonly parts: readonly Readonly<ActionPart>[];
  readonly audience: string;
  readonly scope: string;
  readonly digest: string;
  /** The thumbprint of the DPoP key or client certificate that the token is bound to (RFC 7800). */
  readonly confirmation?: Confirmation;
  /** The trace of the ask (W3C Trace Context), if there is one. */
  readonly traceparent?: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly state: TokenState;
  /** The reservation: spend id, API, and times. */
  readonly spend?: {
    readonly id: string;
    readonly api: string;
    readonly reservedAt: number;
    readonly endedAt?: number;
  };
};

/** Hashes an access token: SHA-256, base64url. Tokens are stored and looked up by this hash. */
export function hashToken(accessToken: string): string {
  return hash("sha256", accessToken, "base64url");
}

export type SpendRefusal = "invalid_token" | "expired_token" | "already_spent" | "digest_mismatch";
export type SpendRefused = { readonly refused: SpendRefusal };

/** The claim of an API before it executes an action: its audience, its own spend id, the digest of the actual call. */
export type Spend = {
  readonly api: string;
  readonly audience: string;
  readonly spendId: string;
  readonly digest: string;
};

/** Returns the state at `now`. A token expires by the clock, whether or not the sweeper has recorded it. */
export function getTokenState(token: Token, now: number): TokenState {
  return token.state === "issued" && now >= token.expiresAt ? "expired" : token.state;
}

/** Returns the granted `authorization_details` (RFC 9396 §7); undefined for an action that is a scope. */
export function toAuthorizationDetails({
  scope,
  parts,
}: Pick<Token, "scope" | "parts">): readonly JsonObject[] | undefined {
  return parts.some(({ type }) => scope === `openid ${type}`)
    ? undefined
    : parts.map(({ type, bound }) => ({ type, ...bound }));
}

/** Returns the claim with the hashes of the action types: one hash, or one for each detail, in their order. */
export function toTypeHashClaim({
  parts,
}: Pick<Token, "parts">):
  | { readonly act_type_hash: string }
  | { readonly act_type_hashes: readonly string[] } {
  const [first = "", ...others] = parts.map(({ typeHash }) => typeHash);
  return others.length === 0 ? { act_type_hash: first } : { act_type_hashes: [first, ...others] };
}

/** Time after which a reservation without a reported outcome becomes `unknown`: ten minutes. */
export const reservationTimeoutMs = 10 * 60_000;

/** Reserves the token for one execution. Idempotent for the same API, spend id and digest while it is reserved. */
export function reserve(token: Token, spend: Spend, now: number): Token | SpendRefused {
  if (token.audience !== spend.audience) return { refused: "invalid_token" };
  const state = getTokenState(token, now);
  const isRetry = token.spend?.id === spend.spendId && token.spend.api === spend.api;
  if (state === "reserved" && isRetry && token.digest === spend.digest) return token;
  if (state === "expired") return { refused: "expired_token" };
  if (state === "revoked") return { refused: "invalid_token" };
  if (state !== "issued") return { refused: "already_spent" };
  if (token.digest !== spend.digest) return { refused: "digest_mismatch" };
  return { ...token, state: "reserved", spend: { id: spend.spendId, api: spend.api, reservedAt: now } };
}

/** Records the outcome of a reservation, also after `expiresAt`. Idempotent; a recorded outcome cannot be changed. */
export function recordOutcome(
  token: Token,
  outcome: "completed" | "failed",
  spend: Pick<Spend, "api" | "audience" | "spendId">,
  now: number,
): Token | SpendRefused {
  if (token.audience !== spend.audience) return { refused: "invalid_token" };
  if (token.spend?.id !== spend.spendId || token.spend.api !== spend.api) return { refused: "already_spent" };
  if (token.state === outcome) return token;
  if (token.state !== "reserved" && token.state !== "unknown") return { refused: "already_spent" };
  return { ...token, state: outcome, spend: { ...token.spend, endedAt: now } };
}

/** Revokes a token that is not reserved (RFC 7009 §2.2). Otherwise returns its state as the refusal. */
export function revoke(token: Token, now: number): Token | { readonly refused: TokenState } {
  const state = getTokenState(token, now);
  return state === "issued" ? { ...token, state: "revoked" } : { refused: state };
}

/** Records what the clock has decided: an issued token expires, a reservation past its timeout becomes unknown. */
export function expireToken(token: Token, now: number): Token | { readonly refused: TokenState } {
  if (token.state === "issued" && now >= token.expiresAt) return { ...token, state: "expired" };
  if (token.state === "reserved" && token.spend && now >= token.spend.reservedAt + reservationTimeoutMs)
    return { ...token, state: "unknown" };
  return { refused: token.state };
}
