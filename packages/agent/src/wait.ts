import type { Action } from "./action.ts";
import type { Ask } from "./ask.ts";
import type { Connection } from "./connection.ts";
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
  signal?: AbortSignal,
): Promise<Outcome<A>> {
  const { clock } = connection;
  const age = clock.now() - asked.askedAt;
  let ask = asked;
  let pause = Math.min(Math.max(asked.intervalSeconds * 1000 - age, 0), asked.intervalSeconds * 1000);
  let silentUntil = clock.elapsed() + Math.max(asked.expiresAt - clock.now(), 0) + grace;
  for (;;) {
    await clock.sleep(pause, signal);
    const answer = await redeem(connection, ask, signal);
    if ("unanswered" in answer) {
      pause = ask.intervalSeconds * 1000;
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
