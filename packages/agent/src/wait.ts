import type { Action } from "./action.ts";
import type { Ask } from "./ask.ts";
import type { Abortable, Connection } from "./connection.ts";
import { type Outcome, redeem } from "./redeem.ts";

/**
 * How long silence is borne after the ask must have ended, or after the last word from the server, in
 * milliseconds.
 */
const grace = 60_000;

/**
 * Polls until the ask is over. Time is measured by the clock that is never set back; `expiresAt` only says how long to
 * put up with a server that cannot be reached, since an ask that has expired is the server's to call expired.
 */
export async function wait<A extends Action>(
  connection: Connection,
  asked: Ask<A>,
  { signal, holdSeconds: wished }: Abortable & { readonly holdSeconds: number },
): Promise<Outcome<A>> {
  const { clock } = connection;
  let holdSeconds = wished;
  let ask = asked;
  let pause = holdSeconds > 0 ? 0 : untilFirstPoll(asked, clock.now());
  let silentUntil = clock.elapsed() + Math.max(asked.expiresAt - clock.now(), 0) + grace;
  for (;;) {
    await clock.sleep(pause, signal);
    const answer = await redeem(connection, ask, { signal, holdSeconds });
    if ("unanswered" in answer) {
      pause = ask.intervalSeconds * 1000;
      // Perhaps something on the way cuts what is held too long, and a token must not be lost to that.
      holdSeconds = 0;
    } else if (answer.outcome === "waiting") {
      ({ ask, milliseconds: pause } = answer);
      if (answer.heard) silentUntil = Math.max(silentUntil, clock.elapsed() + grace);
    } else return answer;
    if (clock.elapsed() > silentUntil)
      throw new Error("the server no longer says how the ask stands: wait for it again later", {
        cause: "unanswered" in answer ? answer.unanswered : undefined,
      });
  }
}

/** One interval after it was asked; at once for an ask that is taken up later. */
function untilFirstPoll({ askedAt, intervalSeconds }: Ask, now: number): number {
  const interval = intervalSeconds * 1000;
  return Math.min(Math.max(interval - (now - askedAt), 0), interval);
}
