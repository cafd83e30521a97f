/**
 * The database's clock, as this node knows it: read with every batch and every few seconds, and carried on in between by
 * a clock that nobody sets. It may be behind by as long as an answer takes to arrive, is never ahead, and does not go back by that, so
 * that what this node wrote as due is due for it at once; whether a
 * change is in time is decided by the database's own clock, inside the transaction.
 */
import type { Pool } from "./pool.ts";

/** The time as the database has it, at the instant at which this is reached. */
export const databaseNow = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const refreshIntervalMs = 10_000;
/** An answer that took longer than the last one makes no more difference than this: somebody set the clock. */
const maxStepBackMs = 1_000;

export async function openClock({ run }: Pool) {
  let offsetMs = 0;
  let lastMs = 0;

  /** `now` was the database's time before this instant. */
  function sync(now: number): void {
    offsetMs = now - performance.now();
  }

  async function refresh(): Promise<void> {
    const [row] = await run<{ now: number }>(`SELECT ${databaseNow} AS now`);
    sync(row!.now);
  }

  await refresh();
  // A node that cannot ask goes on by its own clock; nothing that it decides so is written without the database.
  const timer = setInterval(() => void refresh().catch(() => {}), refreshIntervalMs).unref();
  return {
    now: () => {
      const now = Math.floor(performance.now() + offsetMs);
      if (now > lastMs || lastMs - now > maxStepBackMs) lastMs = now;
      return lastMs;
    },
    hear: sync,
    close: () => clearInterval(timer),
  };
}
