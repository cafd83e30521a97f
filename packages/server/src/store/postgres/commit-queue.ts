/**
 * Queue of changes of this node. They are written in batches, one after the other: the changes of one turn of the
 * event loop, and those queued while the previous batch was in flight. Handles failed batches.
 */
import type { ChangeRows } from "../row.ts";
import type { Outcome } from "../store.ts";
import type { BatchWriter } from "./batch.ts";
import { StoreError } from "./pool.ts";

export type CommitQueue = {
  readonly submit: (change: ChangeRows) => Promise<Outcome>;
  /** Resolves when all submitted changes have an outcome. */
  readonly drain: () => Promise<void>;
};

type Job = {
  readonly change: ChangeRows;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
};

/** Maximum changes per transaction: larger batches hold locks longer without more throughput. */
const maxBatchSize = 64;
const maxAttempts = 5;

/** `hasEntry` resolves the outcome of a commit whose response was lost. */
export function createCommitQueue(
  write: BatchWriter,
  hasEntry: (entryId: string) => Promise<boolean>,
): CommitQueue {
  const queue: Job[] = [];
  let worker: Promise<void> | undefined;

  async function drainQueue(): Promise<void> {
    // Collect the changes of this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) await writeBatch(queue.splice(0, maxBatchSize));
    worker = undefined;
  }

  async function writeBatch(jobs: readonly Job[]): Promise<void> {
    try {
      const outcomes = await writeWithRetry(jobs);
      for (const [at, job] of jobs.entries()) job.resolve(outcomes[at]!);
    } catch (error) {
      const isSingle = jobs.length === 1;
      if (!isSingle && error instanceof StoreError && error.isChangeError)
        for (const job of jobs) await writeBatch([job]);
      else if (error instanceof StoreError && !error.isChangeError) await resolveUnknownOutcomes(jobs, error);
      else for (const job of jobs) job.reject(error);
    }
  }

  /**
   * Retries serialization failures and deadlocks. Retries a constraint violation once: the retry sees the new record
   * and returns a conflict.
   */
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
   * The connection was lost, so the batch may have been committed. Changes whose entry is in the log are committed;
   * the others reject with the error, and their outcome is unknown, as after a crash. If the lookup fails too, queued
   * changes, of which nothing was sent, are rejected as well instead of one batch after another.
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
