/**
 * One transaction and one fsync for everything that was asked to be written in one turn of the event loop. Work is
 * queued, and the queue is written by one `setImmediate`: after all callbacks that this turn's I/O woke, and what
 * they awaited, have had their say. While the disk works, the next requests gather in the sockets, so that the
 * batches grow with the load. It knows nothing of what is written.
 */
import { busyTimeoutMs, type Connection, isBusy, isTransactionBroken } from "./connection.ts";

/** How long the others are answered before a batch that found another process writing is tried again. */
const retryDelayMs = 10;

export type GroupCommit = {
  /**
   * Runs `work` inside the next transaction, after the work handed over before it, whose effects it sees. Answers
   * with its result once that is durable. If it throws, its own effects are undone and only this promise is
   * rejected; if the transaction as a whole fails, all of its promises are.
   */
  submit<T>(work: () => T): Promise<T>;
  /** Writes what is queued, now, and waits for whoever is writing. */
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
  /** Since when another process has kept this one from writing. */
  let busySince: number | undefined;

  /** Begins a transaction, or answers that another process is writing, and has not been for too long. */
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

  /** Whoever only reads is answered meanwhile; what was asked first is still written first. */
  function retryLater(batch: readonly Job[]): void {
    queue = [...batch, ...queue];
    setTimeout(flush, retryDelayMs);
  }

  /** Answers false, and has done nothing, where another process is writing. */
  function write(batch: readonly Job[]): boolean {
    const results: unknown[] = [];
    try {
      if (!tryBegin()) return false;
      for (const { work } of batch) results.push(work());
      // Durability point. Crashing before COMMIT returns leaves either nothing of this batch or all of it, and none of
      // it was acknowledged. Crashing after it loses nothing: the write-ahead log has been synced, and the next to
      // open the file reads it. If COMMIT throws, the batch is undone here, but a crash right then may still find it
      // complete in the write-ahead log: to those who were told of a fault the outcome is unknown, and the log's
      // `holds` answers it.
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
   * Work that throws for itself is a fault, and so may be dear: all of its batch are written again, each by itself, so that
   * only who is at fault hears of it. A savepoint for each would cost every one of them a copy of the pages it changes.
   */
  function writeSeparately(batch: readonly Job[]): void {
    const stopped = batch.findIndex((job) => !write([job]));
    if (stopped >= 0) retryLater(batch.slice(stopped));
  }

  function rollBack(): void {
    try {
      if (connection.inTransaction()) rollback.run();
    } catch {
      // The fault that led here is the one to report. A connection still in a transaction refuses the next BEGIN,
      // so that nothing of this batch can slip into another.
    }
  }

  return {
    submit: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (queue.push({ work, resolve, reject }) === 1) setImmediate(flush);
      }),
    flush: () => {
      // Each turn waits inside SQLite.
      while (queue.length > 0) flush();
    },
  };
}
