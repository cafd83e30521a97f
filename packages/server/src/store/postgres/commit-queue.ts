/**
 * Changes of this node go to the database one batch after the other: what was asked for in one turn of the event loop,
 * and what gathered while the batch before was under way. It knows nothing of what is written; it knows what to do when
 * a batch does not come through.
 */
import type { ChangeRows } from "../row.ts";
import type { Outcome } from "../store.ts";
import type { BatchWriter } from "./batch.ts";
import { StoreError } from "./pool.ts";

export type CommitQueue = {
  readonly submit: (change: ChangeRows) => Promise<Outcome>;
  /** Resolves when everything that was submitted has been answered. */
  readonly drain: () => Promise<void>;
};

type Job = {
  readonly change: ChangeRows;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
};

/** So many changes in one transaction: larger ones hold their locks for longer, and gain nothing more. */
const maxBatchSize = 64;
const maxAttempts = 5;

/** `holds` tells whether an entry is in the log: what became of a commit whose answer was lost. */
export function createCommitQueue(
  write: BatchWriter,
  hasEntry: (entryId: string) => Promise<boolean>,
): CommitQueue {
  const queue: Job[] = [];
  let worker: Promise<void> | undefined;

  async function drainQueue(): Promise<void> {
    // One turn of the event loop, for all that it brings.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) await writeBatch(queue.splice(0, maxBatchSize));
    worker = undefined;
  }

  async function writeBatch(jobs: readonly Job[]): Promise<void> {
    try {
      const outcomes = await writeWithRetry(jobs);
      for (const [at, job] of jobs.entries()) job.resolve(outcomes[at]!);
    } catch (error) {
      const alone = jobs.length === 1;
      if (!alone && error instanceof StoreError && error.isChangeError)
        for (const job of jobs) await writeBatch([job]);
      else if (error instanceof StoreError && !error.isChangeError) await resolveUnknownOutcomes(jobs, error);
      else for (const job of jobs) job.reject(error);
    }
  }

  /** Tried again where two transactions met, and where something new turned out to be there: then it is a conflict. */
  async function writeWithRetry(jobs: readonly Job[]): Promise<readonly Outcome[]> {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await write(jobs.map(({ change }) => change));
      } catch (error) {
        const canRetry =
          error instanceof StoreError && (error.isTransient || (error.isChangeError && attempt === 1));
        if (!canRetry || attempt >= maxAttempts) throw error;
      }
  }

  /**
   * The connection was lost: the batch may have been committed. Found in the log, it was; not found, or not to be asked,
   * the caller is told of the fault and has to assume the worse of the two, as after a crash. Where there is nobody to
   * ask, those behind, of whom nothing was sent, are told as well, and do not learn it one batch after another.
   */
  async function resolveUnknownOutcomes(jobs: readonly Job[], error: unknown): Promise<void> {
    let lookupFailed = false;
    await Promise.all(
      jobs.map(async ({ change, resolve, reject }) => {
        const [entry] = change.entries;
        const lookup = entry ? hasEntry(entry.id) : Promise.resolve(false);
        const committed = await lookup.catch(() => {
          lookupFailed = true;
          return false;
        });
        if (committed) resolve("committed");
        else reject(error);
      }),
    );
    if (lookupFailed) for (const { reject } of queue.splice(0)) reject(error);
  }

  return {
    submit: (change) =>
      new Promise((resolve, reject) => {
        queue.push({ change, resolve, reject });
        worker ??= drainQueue();
      }),
    drain: async () => {
      while (worker) await worker;
    },
  };
}
