/**
 * Group commit: one transaction and one fsync for all writes of one turn of the event loop. The queue is written by
 * one `setImmediate`, after the callbacks that this turn's I/O triggered. While the disk syncs, further requests
 * queue up, so batches grow with the load.
 */
import { busyTimeoutMs, type Connection, isBusy, isTransactionBroken } from "./connection.ts";

/** Delay before a batch is retried that found another process writing. Reads continue meanwhile. */
const retryDelayMs = 10;

export type GroupCommit = {
  /**
   * Runs `work` within the next transaction, after earlier work, whose effects it sees. Resolves with its result once
   * that is durable. If `work` throws, only its effects are undone and only this promise rejects; if the transaction
   * fails, all promises of its batch reject.
   */
  submit<T>(work: () => T): Promise<T>;
  /** Writes the queue now; waits for the lock if another process writes. */
  flush(): void;
};

type Job = {
  readonly work: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: Reject;
};
type Reject = (error: unknown) => void;

export function createGroupCommit(connection: Connection): GroupCommit {
  const begin = connection.prepare("BEGIN IMMEDIATE");
  const commit = connection.prepare("COMMIT");
  const rollback = connection.prepare("ROLLBACK");

  let queue: Job[] = [];
  /** When the lock was first unavailable; undefined if it was not. */
  let busySince: number | undefined;

  /** Begins a transaction. Returns false if another process writes, for up to `busyTimeoutMs`; then throws. */
  function tryBegin(): boolean {
    try {
      begin.run();
      busySince = undefined;
      return true;
    } catch (error) {
      busySince ??= performance.now();
      if (isBusy(error) && performance.now() - busySince < busyTimeoutMs) return false;
      busySince = undefined;
      throw error;
    }
  }

  function flush(): void {
    const batch = queue;
    queue = [];
    if (batch.length > 0 && !write(batch)) retryLater(batch);
  }

  /** Puts the batch back at the front of the queue. Reads are served meanwhile. */
  function retryLater(batch: readonly Job[]): void {
    queue = [...batch, ...queue];
    setTimeout(flush, retryDelayMs);
  }

  /** Returns false, without effect, if another process writes. */
  function write(batch: readonly Job[]): boolean {
    const results: unknown[] = [];
    try {
      if (!tryBegin()) return false;
      for (const { work } of batch) results.push(work());
      // Durability point. Crashing before COMMIT returns leaves either nothing of this batch or all of it, and
      // none of it was acknowledged. Crashing after it loses nothing: the write-ahead log is synced, and the
      // next process to open the file replays it. If COMMIT throws, the batch is rolled back here, but a crash
      // right then may still find it complete in the write-ahead log: the outcome is unknown to its callers,
      // and `log.hasEntry` resolves it.
      commit.run();
    } catch (error) {
      const isJobError =
        results.length < batch.length && !isTransactionBroken(error) && connection.inTransaction();
      rollBack();
      if (isJobError && batch.length > 1) writeSeparately(batch);
      else for (const { reject } of batch) reject(error);
      return true;
    }
    batch.forEach(({ resolve }, at) => {
      resolve(results[at] as never);
    });
    return true;
  }

  /**
   * If a job throws, the batch is retried one job at a time, so that only its caller gets the error. Slow, but it
   * only happens on a bug; a savepoint per job would cost every job a copy of the pages it changes.
   */
  function writeSeparately(batch: readonly Job[]): void {
    const stopped = batch.findIndex((job) => !write([job]));
    if (stopped >= 0) retryLater(batch.slice(stopped));
  }

  function rollBack(): void {
    try {
      if (connection.inTransaction()) rollback.run();
    } catch {
      // Report the original error. A connection still in a transaction rejects the next BEGIN, so nothing of
      // this batch can become part of another.
    }
  }

  return {
    submit: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (queue.push({ work, resolve, reject }) === 1) setImmediate(flush);
      }),
    flush: () => {
      // Each iteration blocks in SQLite until the lock is free or the timeout is over.
      while (queue.length > 0) flush();
    },
  };
}
