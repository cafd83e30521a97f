/**
 * The database's clock as an offset to this node's monotonic clock, refreshed with every batch and every 10 s. It may
 * lag by the latency of a response but is never ahead, and does not run backwards by that, so that a record which
 * this node writes as due is due immediately. Deadlines are enforced by the database's own clock within the
 * transaction.
 */
import type { Pool } from "./pool.ts";

/** SQL for the current time of the database, in milliseconds since the epoch. */
export const databaseNow = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const refreshIntervalMs = 10_000;
/**
 * A response slower than the previous one moves the clock back by less than this; a larger step means that the clock
 * was set.
 */
const maxStepBackMs = 1_000;

export async function openClock({ run }: Pool) {
  let offsetMs = 0;
  let lastMs = 0;

  /** `now` was the time of the database at some instant before this call. */
  function sync(now: number): void {
    offsetMs = now - performance.now();
  }

  async function refresh(): Promise<void> {
    const [row] = await run<{ now: number }>(`SELECT ${databaseNow} AS now`);
    sync(row!.now);
  }

  await refresh();
  // If a refresh fails, the node continues with its last offset; writes still need the database.
  const timer = setInterval(() => void refresh().catch(() => {}), refreshIntervalMs).unref();
  return {
    now: () => {
      const now = Math.floor(performance.now() + offsetMs);
      if (now > lastMs || lastMs - now > maxStepBackMs) lastMs = now;
      return lastMs;
    },
    sync,
    close: () => clearInterval(timer),
  };
}
