/**
 * How fast an agent may poll (CIBA §11). Kept in the memory of one node: it protects the node, and losing it loses
 * nothing. The required gap rises once, by five seconds, and never ratchets; terminal answers are given before the
 * pace is looked at, so that a client which ignores `slow_down` still gets its token.
 */

/** By how many seconds the gap rises, and what `Retry-After` adds to the interval. */
export const raisedBySeconds = 5;
/** Network jitter that is forgiven, in milliseconds. */
const grace = 500;
/** So many polls in a row faster than the original interval, and the client is told to stop. */
const patience = 12;
const remembered = 200_000;

/** `held`: an earlier poll has not been answered yet, and this one is too fast whenever it comes. */
export type Pace = (
  authReqId: string,
  now: number,
  held?: boolean,
) => "in_time" | "too_fast" | "far_too_fast";

type Polls = { lastAt: number; raised: boolean; hasty: number };

/** `pollIntervalSeconds` is what the acknowledgement told the agent. */
export function createPace(pollIntervalSeconds: number): Pace {
  const polls = new Map<string, Polls>();
  return (id, now, held = false) => {
    const known = polls.get(id);
    if (!known) {
      if (polls.size >= remembered) polls.delete(polls.keys().next().value!);
      polls.set(id, { lastAt: now, raised: false, hasty: 0 });
      return "in_time";
    }
    const gap = now - known.lastAt + grace;
    known.lastAt = now;
    const required = pollIntervalSeconds + (known.raised ? raisedBySeconds : 0);
    if (!held && gap >= required * 1000) {
      known.hasty = 0;
      return "in_time";
    }
    known.hasty = held || gap < pollIntervalSeconds * 1000 ? known.hasty + 1 : 0;
    known.raised = true;
    return known.hasty > patience ? "far_too_fast" : "too_fast";
  };
}
