/**
 * What is done without being asked: in rounds, each never twice at once. One question to the store says which of them
 * there is anything to do for, mostly for none. A fault is reported, and does not end them. It decides nothing.
 */
import type { Kind } from "../store/record/records.ts";
import type { Store } from "../store/store.ts";

export type PendingKinds = ReadonlySet<Kind | "log">;

export type Job = {
  readonly name: string;
  /** Made where one of these is outstanding; or every so often. */
  readonly when: readonly (Kind | "log")[] | { readonly everyMs: number };
  /** Is told what was found; nothing where it is to look for itself. */
  readonly work: (found?: PendingKinds) => Promise<unknown>;
};

export type Scheduler = {
  /** Makes every round once, now, whatever there is. */
  readonly runAll: () => Promise<void>;
  /** Resolves when what is under way has ended. */
  readonly stop: () => Promise<void>;
};

type Run = (found?: PendingKinds) => Promise<void>;

export function createScheduler(
  store: Pick<Store, "listPendingKinds">,
  list: readonly Job[],
  lookEveryMs: number,
  onFault: (fault: unknown, where: string) => void,
): Scheduler {
  const underWay = new Set<Promise<void>>();
  const timers: NodeJS.Timeout[] = [];
  const rounds = list.map(({ name, when, work }) => ({ when, run: alone(name, work) }));

  const look = alone("look", async () => {
    const found = await store.listPendingKinds();
    for (const { when, run } of rounds)
      if ("some" in when && when.some((what) => found.has(what))) void run(found);
  });
  every(lookEveryMs, look);
  for (const { when, run } of rounds) if ("everyMs" in when) every(when.everyMs, run);

  function every(ms: number, run: Run): void {
    timers.push(setInterval(() => void run(), ms).unref());
  }

  /** Whoever asks while it is under way waits for that. */
  function alone(name: string, work: Job["work"]): Run {
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
          underWay.delete(ended);
        });
      underWay.add(ended);
      running = ended;
      return ended;
    };
  }

  return {
    runAll: async () => {
      for (const { run } of rounds) await run();
    },
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
