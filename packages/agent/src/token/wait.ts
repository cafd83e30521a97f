import type { Clock } from "@countersign/protocol/client";
import { TimeoutError } from "@countersign/protocol/client";
import type { Abortable, Connection } from "../connection.ts";
import type { Actions } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";
import { type Outcome, redeem } from "./redeem.ts";

/** How long `wait` continues without a status, after the expiry of the request or after the last status. */
const graceMs = 60_000;
/** Polling interval of a ping agent, in case a ping is lost. */
const slowPollMs = 30_000;
/** Time of the last poll before the expiry: an approval whose ping was lost can then still be redeemed. */
const finalPollMarginMs = 3_000;

/**
 * Polls until the request has ended. A ping is followed by one token request at once; a push by none. Durations are measured
 * by the monotonic clock. `expiresAt` only limits how long network failures are tolerated: the server decides whether the
 * request has expired. Rejects with a TimeoutError after `graceMs` without a status.
 */
export async function wait<A extends Actions>(
  connection: Connection,
  pending: Ask<A>,
  { signal, holdSeconds: longPollSeconds }: Abortable & { readonly holdSeconds: number },
): Promise<Outcome<A>> {
  const { clock, callback } = connection;
  const { mode, callbackInbox } = callback ?? { mode: "poll" };
  const endsAt = clock.elapsed() + Math.max(pending.expiresAt - clock.now(), 0);
  let timeoutAt = endsAt + graceMs;
  /** Returns the time to wait for a callback while the request is pending. */
  const callbackPauseMs = {
    poll: () => 0,
    ping: () => Math.max(Math.min(slowPollMs, endsAt - finalPollMarginMs - clock.elapsed()), 0),
    push: () => Math.max(timeoutAt - clock.elapsed(), 0) + 1,
  }[mode];
  let holdSeconds = mode === "poll" ? longPollSeconds : 0;
  let ask = pending;
  let pauseMs = holdSeconds > 0 ? 0 : getFirstPauseMs(pending, clock.now());
  // The ping of a request that another process made, that was joined, or that ended here may already have been received.
  const { idempotencyKey, authReqId, joined } = pending;
  const isFresh = callbackInbox?.isExpected(idempotencyKey) && !callbackInbox.isEnded(authReqId) && !joined;
  if (callbackInbox) pauseMs = mode === "ping" && isFresh ? callbackPauseMs() : 0;

  const unsubscribe = callbackInbox?.subscribe(authReqId);
  try {
    for (;;) {
      await sleepOrWake(clock, pauseMs, signal, callbackInbox?.waiter(authReqId));
      // The token request below answers this ping; a ping that arrives from here on is a new event.
      if (mode === "ping") callbackInbox?.take(authReqId);
      const result = await redeem(connection, ask, { signal, holdSeconds });
      if ("failure" in result) {
        pauseMs = ask.intervalSeconds * 1000;
        // A proxy may cut long polls, and a token could be lost with the response.
        holdSeconds = 0;
      } else if (result.outcome === "waiting") {
        ({ ask, pauseMs } = result);
        if (result.hasStatus) timeoutAt = Math.max(timeoutAt, clock.elapsed() + graceMs);
        if (result.hasStatus || mode === "push") pauseMs = Math.max(pauseMs, callbackPauseMs());
      } else return result;
      if (clock.elapsed() > timeoutAt)
        throw new TimeoutError(
          mode === "push"
            ? "no push was received for this request, which must have ended; its outcome is unknown"
            : "the server returns no status of the request; call wait again later",
          { cause: "failure" in result ? result.failure : undefined },
        );
    }
  } finally {
    unsubscribe?.();
  }
}

/** Returns the time until the first poll: one interval after the request was made, 0 for a resumed request. */
function getFirstPauseMs(
  { askedAt, intervalSeconds }: Pick<Ask, "askedAt" | "intervalSeconds">,
  now: number,
): number {
  const intervalMs = intervalSeconds * 1000;
  return Math.min(Math.max(intervalMs - (now - askedAt), 0), intervalMs);
}

/** Sleeps until the time has passed or `wake` is aborted, also with a clock whose sleep ignores signals. */
async function sleepOrWake(
  clock: Clock,
  milliseconds: number,
  signal?: AbortSignal,
  wake?: AbortSignal,
): Promise<void> {
  if (!wake) return clock.sleep(milliseconds, signal);
  signal?.throwIfAborted();
  if (wake.aborted) return;
  const woken = new Promise<void>((resolve) =>
    wake.addEventListener("abort", () => resolve(), { once: true }),
  );
  const sleeping = clock.sleep(milliseconds, signal ? AbortSignal.any([signal, wake]) : wake);
  const undisturbed = sleeping.catch((error) => {
    if (signal?.aborted || !wake.aborted) throw error;
  });
  await Promise.race([woken, undisturbed]);
  signal?.throwIfAborted();
}
