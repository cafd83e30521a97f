/**
 * The token's life after it was issued, as a pure state machine. One token, one spend: whatever happens, nothing
 * returns to `issued`. It never sees the token itself, only the hash it is found by.
 *
 *      issued ── reserve ──▶ reserved ── complete ──▶ completed
 *        │                      ├────── fail ───────▶ failed
 *        │                      └────── (silence) ──▶ unknown
 *        ├── (expiresAt) ──▶ expired
 *        └── revoke ───────▶ revoked
 *
 * `unknown`: an API reserved the token and never said how it ended. It stays used; a late answer is still accepted.
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
  /** What was approved, never empty. */
  readonly parts: readonly Readonly<ActionPart>[];
  readonly audience: string;
  readonly scope: string;
  readonly digest: string;
  /** The key that whoever uses the token must prove (RFC 7800): a DPoP key's or a client certificate's thumbprint. */
  readonly confirmation?: Confirmation;
  /** Of the ask that it goes back to (W3C Trace Context), where that was traced. */
  readonly traceparent?: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly state: TokenState;
  /** Who reserved it, under which spend id, and when. */
  readonly spend?: {
    readonly id: string;
    readonly api: string;
    readonly reservedAt: number;
    readonly endedAt?: number;
  };
};

/** What a token is found by. The token itself is kept nowhere. */
export function hashToken(accessToken: string): string {
  return hash("sha256", accessToken, "base64url");
}

export type SpendRefusal = "invalid_token" | "expired_token" | "already_spent" | "digest_mismatch";
export type SpendRefused = { readonly refused: SpendRefusal };

/** What an API says when it is about to act: its audience, a spend id of its own, the digest of the real call. */
export type Spend = {
  readonly api: string;
  readonly audience: string;
  readonly spendId: string;
  readonly digest: string;
};

export function getTokenState(token: Token, now: number): TokenState {
  return token.state === "issued" && now >= token.expiresAt ? "expired" : token.state;
}

/** `authorization_details` as granted (RFC 9396 §7); a scope that is an action has none. */
export function toAuthorizationDetails({
  scope,
  parts,
}: Pick<Token, "scope" | "parts">): readonly JsonObject[] | undefined {
  return parts.some(({ type }) => scope === `openid ${type}`)
    ? undefined
    : parts.map(({ type, bound }) => ({ type, ...bound }));
}

/** The claim that says under which definitions it was approved: one hash, or one for each detail, in their order. */
export function toTypeHashClaim({
  parts,
}: Pick<Token, "parts">):
  | { readonly act_type_hash: string }
  | { readonly act_type_hashes: readonly string[] } {
  const [first = "", ...others] = parts.map(({ typeHash }) => typeHash);
  return others.length === 0 ? { act_type_hash: first } : { act_type_hashes: [first, ...others] };
}

/** How long a reservation may stay without an answer before it is written down as unknown. */
export const reservationTimeoutMs = 10 * 60_000;

/** Reserves the token for one run. Asked again with the same spend id while it is reserved: the same answer. */
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

/** Ends a reservation. Works after `expiresAt`; said twice, it is the same; it cannot be turned round. */
export function finish(
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

/** Ends a token that nobody has begun to use; said twice, it is the same (RFC 7009 §2.2). */
export function revoke(token: Token, now: number): Token | { readonly refused: TokenState } {
  const state = getTokenState(token, now);
  return state === "issued" ? { ...token, state: "revoked" } : { refused: state };
}

/** Writes down what the clock has already done: an unspent token expires, a silent reservation becomes unknown. */
export function expireToken(token: Token, now: number): Token | { readonly refused: TokenState } {
  if (token.state === "issued" && now >= token.expiresAt) return { ...token, state: "expired" };
  if (token.state === "reserved" && token.spend && now >= token.spend.reservedAt + reservationTimeoutMs)
    return { ...token, state: "unknown" };
  return { refused: token.state };
}
