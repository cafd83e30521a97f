/**
 * One transaction and one fsync for everything that was asked to be written in one turn of the event loop. Work is
 * queued, and the queue is written by one `setImmediate`: after all callbacks that this turn's I/O woke, and what
 * they awaited, have had their say. While the disk works, the next requests gather in the sockets, so that the
 * batches grow with the load. It knows nothing of what is written.
 */
import { breaksTransaction, busyMs, type Connection, isBusy } from "./connection.ts";

/** How long the others are answered before a batch that found another process writing is tried again. */
const retryMs = 10;

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

export function groupCommit(connection: Connection): GroupCommit {
  const begin = connection.prepare("BEGIN IMMEDIATE");
  const commit = connection.prepare("COMMIT");
  const rollback = connection.prepare("ROLLBACK");
  const savepoint = connection.prepare("SAVEPOINT work");
  const release = connection.prepare("RELEASE work");
  const undo = connection.prepare("ROLLBACK TO work");

  let queue: Job[] = [];
  /** Since when another process has kept this one from writing. */
  let busySince: number | undefined;

  /** Answers what to tell the caller if the transaction holds. Throws if it cannot hold any more. */
  function run(job: Job): () => void {
    savepoint.run();
    try {
      const value = job.work() as never;
      release.run();
      return () => job.resolve(value);
    } catch (error) {
      if (breaksTransaction(error) || !connection.inTransaction()) throw error;
      undo.run();
      release.run();
      return () => job.reject(error);
    }
  }

  /** Begins a transaction, or answers that another process is writing, and has not been for too long. */
  function begun(): boolean {
    try {
      begin.run();
      busySince = undefined;
      return true;
    } catch (error) {
      busySince ??= performance.now();
      if (isBusy(error) && performance.now() - busySince < busyMs) return false;
      busySince = undefined;
      throw error;
    }
  }

  function flush(): void {
    const batch = queue;
    queue = [];
    if (batch.length === 0) return;
    const answers: (() => void)[] = [];
    try {
      if (!begun()) {
        // Whoever only reads is answered meanwhile; what was asked first is still written first.
        queue = batch;
        setTimeout(flush, retryMs);
        return;
      }
      for (const job of batch) answers.push(run(job));
      // Durability point. Crashing before COMMIT returns leaves either nothing of this batch or all of it, and none of
      // it was acknowledged. Crashing after it loses nothing: the write-ahead log has been synced, and the next to
      // open the file reads it. If COMMIT throws, the batch is undone here, but a crash right then may still find it
      // complete in the write-ahead log: to those who were told of a fault the outcome is unknown, and the log's
      // `holds` answers it.
      commit.run();
    } catch (error) {
      rollBack();
      for (const job of batch) job.reject(error);
      return;
    }
    for (const answer of answers) answer();
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
