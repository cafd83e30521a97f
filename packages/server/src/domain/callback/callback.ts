/**
 * The delivery state machine of a ping or push callback (CIBA §10.2, §10.3). Pure. Created with the request and deleted
 * after delivery. Each attempt takes a lease; once the lease has expired, any node may try again.
 *
 *      idle ── queue ──▶ queued ── lease ──▶ queued ── (sent) ──▶ deleted
 *                          ▲                   │
 *                          └── scheduleRetry ──┼── abandon ──▶ abandoned ── (30 days) ──▶ deleted
 */
import type { ActionType } from "../action/action-type.ts";
import type { Agent, DeliveryMode } from "../client/client.ts";

/** The callback of a request: at most one, with the same id. */
export type Callback = {
  /** The id of the request. */
  readonly id: string;
  readonly agent: string;
  readonly mode: Exclude<DeliveryMode, "poll">;
  /** `client_notification_token`, encrypted under the root key. */
  readonly sealedToken: string;
  readonly state: "idle" | "queued" | "abandoned";
  readonly attempts: number;
  /** Time of the next attempt; during an attempt, the end of its lease; if abandoned, the time of deletion. */
  readonly dueAt: number;
  /** Push: the body with the token, encrypted under the root key; from the first attempt to the last. */
  readonly sealedBody?: string;
  /** Push: the token in the body. It is revoked if delivery is abandoned. */
  readonly token?: { readonly hash: string; readonly jti: string; readonly expiresAt: number };
  readonly lastError?: string;
};

/** Longer than the timeout of an attempt; short, so that after a crash a pushed token can still be used. */
export const leaseMs = 15_000;
/** Delay after each failed attempt. After the last one the callback is abandoned. */
const retryDelaysMs = [1_000, 5_000, 20_000, 60_000, 300_000];
/** Minimum remaining lifetime of a pushed token at the next attempt. */
const minRemainingMs = 5_000;
/** How long an abandoned callback is kept. */
const retentionMs = 30 * 24 * 3_600_000;

/** Creates an idle callback: nothing is sent until the request is resolved. */
export function newCallback(
  fields: Pick<Callback, "id" | "agent" | "mode" | "sealedToken">,
  now: number,
): Callback {
  return { ...fields, state: "idle", attempts: 0, dueAt: now };
}

/** Queues the callback once the request is resolved. Returns undefined if it is queued or abandoned already. */
export function queue(callback: Callback, now: number): Callback | undefined {
  return callback.state === "idle" ? { ...callback, state: "queued", dueAt: now } : undefined;
}

/**
 * Replaces the notification token when the agent repeats a request; the newest token counts. If the callback was delivered
 * or abandoned before and the request is decided, it is sent once more.
 */
export function replaceToken(
  callback: Callback | undefined,
  replacement: Callback,
  isDecided: boolean,
  now: number,
): Callback {
  if (callback && callback.state !== "abandoned")
    return { ...callback, sealedToken: replacement.sealedToken };
  return isDecided ? { ...replacement, state: "queued", dueAt: now } : replacement;
}

/** Starts an attempt. Returns undefined if none is due: the callback is not queued, or another lease is active. */
export function lease(callback: Callback, now: number): Callback | undefined {
  if (callback.state !== "queued" || callback.dueAt > now) return undefined;
  return { ...callback, attempts: callback.attempts + 1, dueAt: now + leaseMs };
}

/** Schedules the next attempt. Returns undefined after the last one, or if the pushed token would expire too soon. */
export function scheduleRetry(callback: Callback, error: string, now: number): Callback | undefined {
  const delay = retryDelaysMs[callback.attempts - 1];
  if (delay === undefined) return undefined;
  const dueAt = now + delay;
  if (callback.token && dueAt + minRemainingMs > callback.token.expiresAt) return undefined;
  return { ...callback, dueAt, lastError: error };
}

/** Abandons delivery: removes the body, and keeps the error for 30 days. */
export function abandon({ sealedBody: _, ...callback }: Callback, error: string, now: number): Callback {
  return { ...callback, state: "abandoned", dueAt: now + retentionMs, lastError: error };
}

/** Classifies the HTTP status of an attempt (CIBA §10.2, §10.3.1). Redirects are not followed, and not retried. */
export function getDeliveryResult(status: number): "accepted" | "retry" | "rejected" {
  if (status >= 200 && status < 300) return "accepted";
  return status >= 500 || status === 429 ? "retry" : "rejected";
}

/**
 * Returns why push delivery is not available for this agent and these action types; undefined if it is. A push contains no
 * proof of possession, and a token that is sent to a wrong endpoint cannot be recalled.
 */
export function findPushFault(
  { binding }: Pick<Agent, "binding">,
  definitions: readonly Pick<ActionType, "type" | "reversibility">[],
): string | undefined {
  if (binding) return "a token that is bound to a key cannot be pushed";
  const irreversible = definitions.find(({ reversibility }) => reversibility === "irreversible");
  return irreversible && `push delivery is not available for irreversible actions (${irreversible.type})`;
}
