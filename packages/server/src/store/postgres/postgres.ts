/**
 * PostgreSQL engine, for several nodes. Any number of nodes share one database: each sends its changes in batches,
 * receives changes of other nodes by notification, and uses the clock of the database.
 */
import { type ChangeRows, encodeChange, encodeUnloggedChange } from "../row.ts";
import type { Outcome, Store } from "../store.ts";
import { createBatchWriter } from "./batch.ts";
import { createClaim } from "./claim.ts";
import { openClock } from "./clock.ts";
import { createCommitQueue } from "./commit-queue.ts";
import { createLog } from "./log.ts";
import { migrate } from "./migrate.ts";
import { openPool, type PoolOptions } from "./pool.ts";
import { runPreflight } from "./preflight.ts";
import { createReaders } from "./reader.ts";
import { openWatchers } from "./watch.ts";

export type PostgresOptions = PoolOptions & {
  /** Schema of the tables: letters, digits and underscores. Default `countersign`. */
  readonly schema?: string;
  /** Create the schema if it does not exist. Default: false. */
  readonly create?: boolean;
};

/**
 * Throws an `Error` that names the database if it cannot be reached, fails the preflight check, or is of a newer
 * version.
 */
export async function openPostgres({
  schema = "countersign",
  create = false,
  ...options
}: PostgresOptions): Promise<Store> {
  if (!/^[a-z_][a-z0-9_]{0,50}$/.test(schema)) throw new Error(`"${schema}" is not a valid schema name`);
  const pool = openPool(options);
  try {
    await migrate(pool, schema, create);
    await runPreflight(pool, options.url, schema);
    const clock = await openClock(pool);
    const channel = `${schema}_wake`;
    const watchers = openWatchers(pool, schema, channel);
    const log = createLog(pool, schema);
    const write = createBatchWriter(pool, schema, channel, watchers.encodeNotifications, clock.sync);
    const commitQueue = createCommitQueue(write, async (entryId) => log.hasEntry(entryId));
    await watchers.open();
    let closing = false;

    async function submit(change: ChangeRows): Promise<Outcome> {
      if (closing) throw new Error("the store is closed");
      const outcome = await commitQueue.submit(change);
      if (outcome === "committed") watchers.notify(change.changeEvents);
      return outcome;
    }

    return {
      now: clock.now,
      ...createReaders(pool, schema),
      commit: async (change) => submit(encodeChange(change)),
      commitUnlogged: async (change) => submit(encodeUnloggedChange(change)),
      claim: createClaim(pool, schema),
      log,
      watch: watchers.watch,
      close: async () => {
        if (closing) return;
        closing = true;
        watchers.close();
        clock.close();
        await commitQueue.drain();
        await pool.close();
      },
    };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/** Migrates an existing database. Returns the summaries of what was done. */
export async function migratePostgres(url: string, schema = "countersign"): Promise<readonly string[]> {
  const pool = openPool({ url, maxConnections: 1 });
  try {
    return await migrate(pool, schema, false);
  } finally {
    await pool.close();
  }
}
