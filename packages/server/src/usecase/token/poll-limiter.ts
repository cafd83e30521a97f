/**
 * How fast an agent may poll (CIBA §11). Kept in the memory of one node: it protects the node, and losing it loses
 * nothing. The required gap rises once, by five seconds, and never ratchets; terminal answers are given before the
 * pace is looked at, so that a client which ignores `slow_down` still gets its token.
 */

/** By how many seconds the gap rises, and what `Retry-After` adds to the interval. */
export const slowDownSeconds = 5;
/** Network jitter that is forgiven, in milliseconds. */
const graceMs = 500;
/** So many polls in a row faster than the original interval, and the client is told to stop. */
const maxFastPolls = 12;
const maxEntries = 100_000;

/** `held`: an earlier poll has not been answered yet, and this one is too fast whenever it comes. */
export type PollLimiter = (
  authReqId: string,
  now: number,
  held?: boolean,
) => "in_time" | "too_fast" | "far_too_fast";

/** `getIntervalSeconds` returns the interval that acknowledgements tell the agent. */
export function createPollLimiter(getIntervalSeconds: () => number): PollLimiter {
  /** When each was last polled: since the turn, and before it. What is older than an interval cannot be too fast any more. */
  let young = new Map<string, number>();
  let old = new Map<string, number>();
  let turnedAt = Number.NEGATIVE_INFINITY;
  /** Those that have been polled too fast, whose gap stays raised. */
  const raised = new Map<string, { lastAt: number; hasty: number }>();

  function remember(id: string, now: number, intervalMs: number): void {
    if (now - turnedAt >= intervalMs || young.size >= maxEntries) {
      [old, young] = [young, new Map()];
      turnedAt = now;
    }
    young.set(id, now);
  }

  function raise(id: string, now: number): "too_fast" {
    if (raised.size >= maxEntries) raised.clear();
    raised.set(id, { lastAt: now, hasty: 1 });
    return "too_fast";
  }

  return (id, now, held = false) => {
    const intervalMs = getIntervalSeconds() * 1000;
    const hurried = raised.get(id);
    if (!hurried) {
      const lastAt = young.get(id) ?? old.get(id);
      if (held || (lastAt !== undefined && now - lastAt + graceMs < intervalMs)) return raise(id, now);
      remember(id, now, intervalMs);
      return "in_time";
    }
    const gap = now - hurried.lastAt + graceMs;
    hurried.lastAt = now;
    if (!held && gap >= intervalMs + slowDownSeconds * 1000) {
      hurried.hasty = 0;
      return "in_time";
    }
    hurried.hasty = held || gap < intervalMs ? hurried.hasty + 1 : 0;
    return hurried.hasty > maxFastPolls ? "far_too_fast" : "too_fast";
  };
}
