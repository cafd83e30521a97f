/**
 * Changes of this node go to the database one batch after the other: what was asked for in one turn of the event loop,
 * and what gathered while the batch before was under way. It knows nothing of what is written; it knows what to do when
 * a batch does not come through.
 */
import type { ChangeRows } from "../row.ts";
import type { Outcome } from "../store.ts";
import type { BatchWriter } from "./batch.ts";
import { StoreError } from "./connection.ts";

export type Lane = {
  readonly submit: (change: ChangeRows) => Promise<Outcome>;
  /** Resolves when everything that was submitted has been answered. */
  readonly drained: () => Promise<void>;
};

type Job = {
  readonly change: ChangeRows;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
};

/** So many changes in one transaction: larger ones hold their locks for longer, and gain nothing more. */
const largest = 64;
const attempts = 5;

/** `holds` tells whether an entry is in the log: what became of a commit whose answer was lost. */
export function openLane(write: BatchWriter, holds: (entryId: string) => Promise<boolean>): Lane {
  const queue: Job[] = [];
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    // One turn of the event loop, for all that it brings.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) await writeAll(queue.splice(0, largest));
    working = undefined;
  }

  async function writeAll(jobs: readonly Job[]): Promise<void> {
    try {
      const outcomes = await persist(jobs);
      for (const [at, job] of jobs.entries()) job.resolve(outcomes[at]!);
    } catch (error) {
      const alone = jobs.length === 1;
      if (!alone && error instanceof StoreError && error.aboutChange)
        for (const job of jobs) await writeAll([job]);
      else if (error instanceof StoreError && !error.aboutChange) await lookUpAll(jobs, error);
      else for (const job of jobs) job.reject(error);
    }
  }

  /** Tried again where two transactions met, and where something new turned out to be there: then it is a conflict. */
  async function persist(jobs: readonly Job[]): Promise<readonly Outcome[]> {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await write(jobs.map(({ change }) => change));
      } catch (error) {
        const again =
          error instanceof StoreError && (error.transient || (error.aboutChange && attempt === 1));
        if (!again || attempt >= attempts) throw error;
      }
  }

  /**
   * The connection was lost: the batch may have been committed. Found in the log, it was; not found, or not to be asked,
   * the caller is told of the fault and has to assume the worse of the two, as after a crash. Where there is nobody to
   * ask, those behind, of whom nothing was sent, are told as well, and do not learn it one batch after another.
   */
  async function lookUpAll(jobs: readonly Job[], error: unknown): Promise<void> {
    let unanswered = false;
    await Promise.all(
      jobs.map(async ({ change, resolve, reject }) => {
        const [entry] = change.entries;
        const lookedUp = entry ? holds(entry.id) : Promise.resolve(false);
        const committed = await lookedUp.catch(() => {
          unanswered = true;
          return false;
        });
        if (committed) resolve("committed");
        else reject(error);
      }),
    );
    if (unanswered) for (const { reject } of queue.splice(0)) reject(error);
  }

  return {
    submit: (change) =>
      new Promise((resolve, reject) => {
        queue.push({ change, resolve, reject });
        working ??= work();
      }),
    drained: async () => {
      while (working) await working;
    },
  };
}
