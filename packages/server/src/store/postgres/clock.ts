/**
 * The database's clock, as this node knows it: read with every batch and every few seconds, and carried on in between by
 * a clock that nobody sets. It may be behind by as long as an answer takes to arrive, is never ahead, and does not go back by that, so
 * that what this node wrote as due is due for it at once; whether a
 * change is in time is decided by the database's own clock, inside the transaction.
 */
import type { Pool } from "./connection.ts";

/** The time as the database has it, at the instant at which this is reached. */
export const databaseNow = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const everyMs = 10_000;
/** An answer that took longer than the last one makes no more difference than this: somebody set the clock. */
const setBackMs = 1_000;

export async function openClock({ run }: Pool) {
  let ahead = 0;
  let last = 0;

  /** `now` was the database's time before this instant. */
  function hear(now: number): void {
    ahead = now - performance.now();
  }

  async function ask(): Promise<void> {
    const [row] = await run<{ now: number }>(`SELECT ${databaseNow} AS now`);
    hear(row!.now);
  }

  await ask();
  // A node that cannot ask goes on by its own clock; nothing that it decides so is written without the database.
  const timer = setInterval(() => void ask().catch(() => {}), everyMs).unref();
  return {
    now: () => {
      const now = Math.floor(performance.now() + ahead);
      if (now > last || last - now > setBackMs) last = now;
      return last;
    },
    hear,
    close: () => clearInterval(timer),
  };
}
