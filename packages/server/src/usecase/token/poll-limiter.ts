/**
 * Rate limit for polls (CIBA §11), in the memory of one node: it protects the node, and losing it is harmless. After
 * the first early poll the required interval grows by 5 s, once. Requests with a final state are not limited, so a
 * client that ignores `slow_down` still gets its token.
 */

/** Seconds by which the interval grows, and which `Retry-After` adds to it. */
export const slowDownSeconds = 5;
/** Tolerance for network jitter. */
const graceMs = 500;
/** After more consecutive polls than this below the original interval, polls are rejected. */
const maxFastPolls = 12;
const maxEntries = 100_000;

/**
 * `ok`: the poll may proceed. `slow_down`: too early. `rate_limited`: persistently too early. `isWaiting`: an earlier poll is
 * still waiting, so this one is too early.
 */
export type PollLimiter = (
  authReqId: string,
  now: number,
  isWaiting?: boolean,
) => "ok" | "slow_down" | "rate_limited";

/** `getIntervalSeconds` returns the interval that acknowledgements tell the agent. */
export function createPollLimiter(getIntervalSeconds: () => number): PollLimiter {
  /**
   * Time of the last poll by id, in two generations of at least one interval each: older times cannot make a poll too
   * early.
   */
  let current = new Map<string, number>();
  let previous = new Map<string, number>();
  let rotatedAt = Number.NEGATIVE_INFINITY;
  /** Ids that were polled too early; their interval stays raised. */
  const raised = new Map<string, { lastAt: number; fastPolls: number }>();

  function recordPoll(id: string, now: number, intervalMs: number): void {
    if (now - rotatedAt >= intervalMs || current.size >= maxEntries) {
      [previous, current] = [current, new Map()];
      rotatedAt = now;
    }
    current.set(id, now);
  }

  function raiseInterval(id: string, now: number): "slow_down" {
    if (raised.size >= maxEntries) raised.clear();
    raised.set(id, { lastAt: now, fastPolls: 1 });
    return "slow_down";
  }

  return (id, now, isWaiting = false) => {
    const intervalMs = getIntervalSeconds() * 1000;
    const entry = raised.get(id);
    if (!entry) {
      const lastAt = current.get(id) ?? previous.get(id);
      if (isWaiting || (lastAt !== undefined && now - lastAt + graceMs < intervalMs))
        return raiseInterval(id, now);
      recordPoll(id, now, intervalMs);
      return "ok";
    }
    const gap = now - entry.lastAt + graceMs;
    entry.lastAt = now;
    if (!isWaiting && gap >= intervalMs + slowDownSeconds * 1000) {
      entry.fastPolls = 0;
      return "ok";
    }
    entry.fastPolls = isWaiting || gap < intervalMs ? entry.fastPolls + 1 : 0;
    return entry.fastPolls > maxFastPolls ? "rate_limited" : "slow_down";
  };
}
