/**
 * Runs background jobs periodically; a job never runs twice at once. One query to the store tells which jobs have work,
 * usually none. An error is reported through `onFault` and does not stop the scheduler.
 */
import type { Kind } from "../store/record/records.ts";
import type { Store } from "../store/store.ts";

export type PendingKinds = ReadonlySet<Kind | "log">;

export type Job = {
  readonly name: string;
  /** Run when a record of one of these kinds is due, or at a fixed interval. */
  readonly when: readonly (Kind | "log")[] | { readonly everyMs: number };
  /** Receives the kinds that have work; undefined if the job must query for itself. */
  readonly work: (found?: PendingKinds) => Promise<unknown>;
};

export type Scheduler = {
  /** Runs every job once, even if nothing is due. */
  readonly runAll: () => Promise<void>;
  /** Starts no more jobs. Resolves when the running ones have ended. */
  readonly stop: () => Promise<void>;
};

type Run = (found?: PendingKinds) => Promise<void>;

export function createScheduler(
  store: Pick<Store, "listPendingKinds">,
  jobs: readonly Job[],
  intervalMs: number,
  onFault: (fault: unknown, where: string) => void,
): Scheduler {
  const inProgress = new Set<Promise<void>>();
  const timers: NodeJS.Timeout[] = [];
  const runs = jobs.map(({ name, when, work }) => ({ when, run: runExclusively(name, work) }));

  const runPending = runExclusively("schedule", async () => {
    const found = await store.listPendingKinds();
    for (const { when, run } of runs)
      if ("some" in when && when.some((kind) => found.has(kind))) void run(found);
  });
  every(intervalMs, runPending);
  for (const { when, run } of runs) if ("everyMs" in when) every(when.everyMs, run);

  function every(ms: number, run: Run): void {
    timers.push(setInterval(() => void run(), ms).unref());
  }

  /** Returns a function that runs the job, or joins the run in progress. */
  function runExclusively(name: string, work: Job["work"]): Run {
    let running: Promise<void> | undefined;
    return (found) => {
      if (running) return running;
      const ended = work(found)
        .then(
          () => {},
          (fault: unknown) => onFault(fault, name),
        )
        .finally(() => {
          running = undefined;
          inProgress.delete(ended);
        });
      inProgress.add(ended);
      running = ended;
      return ended;
    };
  }

  return {
    runAll: async () => {
      for (const { run } of runs) await run();
    },
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      while (inProgress.size > 0) await Promise.all(inProgress);
    },
  };
}
