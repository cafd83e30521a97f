/**
 * The answer on its way to an agent that is pinged or pushed to (CIBA §10.2, §10.3), as a pure state machine. Made with
 * the request and gone once it has arrived. While an attempt is under way it is leased: whoever finds the lease run out
 * may try again.
 *
 *      idle ── queue ──▶ queued ── lease ──▶ queued ── (sent) ──▶ deleted
 *                          ▲                   │
 *                          └── scheduleRetry ──┼── abandon ──▶ abandoned ── (30 days) ──▶ deleted
 */
import type { ActionType } from "../action/action-type.ts";
import type { Agent, DeliveryMode } from "../client/client.ts";

/** One for each request, under its id. */
export type Callback = {
  /** The id of the request. */
  readonly id: string;
  readonly agent: string;
  readonly mode: Exclude<DeliveryMode, "poll">;
  /** `client_notification_token`, encrypted under the key from outside the database. */
  readonly sealedToken: string;
  readonly state: "idle" | "queued" | "abandoned";
  readonly attempts: number;
  /** When the next attempt is due; while one is under way, when its lease ends; given up, when it is forgotten. */
  readonly dueAt: number;
  /** Push: the body, token and all, encrypted likewise, from the first attempt until the last. */
  readonly sealedBody?: string;
  /** Push: the token in it, which ends if it cannot be delivered. */
  readonly token?: { readonly hash: string; readonly jti: string; readonly expiresAt: number };
  readonly lastError?: string;
};

/** Longer than an attempt may take, and short enough that after a crash a pushed token still has time. */
export const leaseMs = 15_000;
/** Delay after each failed attempt. When they are used up, the callback is given up. */
const retryDelaysMs = [1_000, 5_000, 20_000, 60_000, 300_000];
/** What a token has to be good for when it arrives: less, and the agent could not use it. */
const minRemainingMs = 5_000;
const retentionMs = 30 * 24 * 3_600_000;

/** Nothing is sent before there is an answer. */
export function newCallback(
  fields: Pick<Callback, "id" | "agent" | "mode" | "sealedToken">,
  now: number,
): Callback {
  return { ...fields, state: "idle", attempts: 0, dueAt: now };
}

/** There is an answer. Undefined where it is on its way, or was given up: the first one is what counts. */
export function queue(callback: Callback, now: number): Callback | undefined {
  return callback.state === "idle" ? { ...callback, state: "queued", dueAt: now } : undefined;
}

/**
 * The agent asks for the same again, and listens with another token: the newest counts. Where everything had been sent
 * (or given up) already, it is sent once more, to whoever that was lost on.
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

/** Undefined where it is not due: nothing is to be said yet, or somebody is saying it. */
export function lease(callback: Callback, now: number): Callback | undefined {
  if (callback.state !== "queued" || callback.dueAt > now) return undefined;
  return { ...callback, attempts: callback.attempts + 1, dueAt: now + leaseMs };
}

/** Tries again later. Undefined where that would be once too often, or too late for the token. */
export function scheduleRetry(callback: Callback, error: string, now: number): Callback | undefined {
  const delay = retryDelaysMs[callback.attempts - 1];
  if (delay === undefined) return undefined;
  const dueAt = now + delay;
  if (callback.token && dueAt + minRemainingMs > callback.token.expiresAt) return undefined;
  return { ...callback, dueAt, lastError: error };
}

/** The body goes, with the token that it holds; what happened stays to be seen for a while. */
export function abandon({ sealedBody: _, ...callback }: Callback, error: string, now: number): Callback {
  return { ...callback, state: "abandoned", dueAt: now + retentionMs, lastError: error };
}

/** What a status means (CIBA §10.2, §10.3.1): a redirect is never followed, and will be there again. */
export function getDeliveryResult(status: number): "accepted" | "retry" | "rejected" {
  if (status >= 200 && status < 300) return "accepted";
  return status >= 500 || status === 429 ? "retry" : "rejected";
}

/** A push carries no proof of a key, and nobody watches where it goes: why it is not for this, if it is not. */
export function findPushFault(
  { binding }: Pick<Agent, "binding">,
  definitions: readonly Pick<ActionType, "type" | "reversibility">[],
): string | undefined {
  if (binding) return "a token that is bound to a key cannot be pushed";
  const irreversible = definitions.find(({ reversibility }) => reversibility === "irreversible");
  return irreversible && `push delivery is not available for irreversible actions (${irreversible.type})`;
}
