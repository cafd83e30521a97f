import type { Clock } from "@countersign/protocol/client";
import { TimeoutError } from "@countersign/protocol/client";
import type { Abortable, Connection } from "../connection.ts";
import type { Actions } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";
import { type Outcome, redeem } from "./redeem.ts";

/**
 * How long silence is borne after the ask must have ended, or after the last word from the server, in
 * milliseconds.
 */
const graceMs = 60_000;
/** How often an agent that is pinged asks all the same, in case a ping does not arrive, in milliseconds. */
const slowPollMs = 30_000;
/** So long before an ask ends it is asked about once more: a late yes whose ping is lost can then still be redeemed. */
const finalPollMarginMs = 3_000;

/**
 * Polls until the ask is over; or is told so: after a ping it polls once, at once, and of what is pushed it makes no
 * request at all. Time is measured by the clock that is never set back; `expiresAt` only says how long to put up with a
 * server that cannot be reached, since an ask that has expired is the server's to call expired.
 */
export async function wait<A extends Actions>(
  connection: Connection,
  asked: Ask<A>,
  { signal, holdSeconds: wished }: Abortable & { readonly holdSeconds: number },
): Promise<Outcome<A>> {
  const { clock, callback } = connection;
  const { mode, callbackInbox } = callback ?? { mode: "poll" };
  const endsAt = clock.elapsed() + Math.max(asked.expiresAt - clock.now(), 0);
  let silentUntil = endsAt + graceMs;
  /** How long to wait for news while nobody has decided, if there are going to be news. */
  const patience = {
    poll: () => 0,
    ping: () => Math.max(Math.min(slowPollMs, endsAt - finalPollMarginMs - clock.elapsed()), 0),
    push: () => Math.max(silentUntil - clock.elapsed(), 0) + 1,
  }[mode];
  let holdSeconds = mode === "poll" ? wished : 0;
  let ask = asked;
  let pause = holdSeconds > 0 ? 0 : untilFirstPoll(asked, clock.now());
  // An ask that another process made, that was joined, or that has ended here, may have had its ping already.
  const { idempotencyKey, authReqId, joined } = asked;
  const isFresh = callbackInbox?.expected(idempotencyKey) && !callbackInbox.ended(authReqId) && !joined;
  if (callbackInbox) pause = mode === "ping" && isFresh ? patience() : 0;

  const leave = callbackInbox?.subscribe(authReqId);
  try {
    for (;;) {
      await rest(clock, pause, signal, callbackInbox?.waiter(authReqId));
      // What a ping says is asked about now; whatever comes from here on is news again.
      if (mode === "ping") callbackInbox?.take(authReqId);
      const answer = await redeem(connection, ask, { signal, holdSeconds });
      if ("unanswered" in answer) {
        pause = ask.intervalSeconds * 1000;
        // Perhaps something on the way cuts what is held too long, and a token must not be lost to that.
        holdSeconds = 0;
      } else if (answer.outcome === "waiting") {
        ({ ask, milliseconds: pause } = answer);
        if (answer.heard) silentUntil = Math.max(silentUntil, clock.elapsed() + graceMs);
        if (answer.heard || mode === "push") pause = Math.max(pause, patience());
      } else return answer;
      if (clock.elapsed() > silentUntil)
        throw new TimeoutError(
          mode === "push"
            ? "nothing was pushed for this ask, and it must be over: how it ended is not known here"
            : "the server no longer says how the ask stands: wait for it again later",
          { cause: "unanswered" in answer ? answer.unanswered : undefined },
        );
    }
  } finally {
    leave?.();
  }
}

/** One interval after it was asked; at once for an ask that is taken up later. */
function untilFirstPoll(
  { askedAt, intervalSeconds }: Pick<Ask, "askedAt" | "intervalSeconds">,
  now: number,
): number {
  const interval = intervalSeconds * 1000;
  return Math.min(Math.max(interval - (now - askedAt), 0), interval);
}

/** Sleeps so long, or until the bell rings, also by a clock that cannot be woken. */
async function rest(
  clock: Clock,
  milliseconds: number,
  signal?: AbortSignal,
  bell?: AbortSignal,
): Promise<void> {
  if (!bell) return clock.sleep(milliseconds, signal);
  signal?.throwIfAborted();
  if (bell.aborted) return;
  const rung = new Promise<void>((resolve) =>
    bell.addEventListener("abort", () => resolve(), { once: true }),
  );
  const slept = clock.sleep(milliseconds, signal ? AbortSignal.any([signal, bell]) : bell);
  const undisturbed = slept.catch((error) => {
    if (signal?.aborted || !bell.aborted) throw error;
  });
  await Promise.race([rung, undisturbed]);
  signal?.throwIfAborted();
}
