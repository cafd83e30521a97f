/**
 * Checks at startup that the database keeps the guarantees this engine relies on. A database that speaks the
 * PostgreSQL protocol may accept an advisory lock without locking, or allocate sequence numbers in blocks: there
 * would be no error, but two tokens for one approval. Tested directly, never derived from a name or version.
 */

import { beginSql, openConnection } from "./connection.ts";
import type { Pool } from "./pool.ts";

/** Advisory lock key; arbitrary, but unique within the database. */
const preflightLock = 4_353_474_003;

/** Throws an `Error` that names the problem and its remedy. */
export async function runPreflight(pool: Pool, url: string, schema: string): Promise<void> {
  const problem = (await findLockProblem(pool, url)) ?? (await findSettingsProblem(pool, schema));
  if (problem !== undefined) throw new Error(`${pool.redactedUrl}: ${problem}`);
}

async function findLockProblem(pool: Pool, url: string): Promise<string | undefined> {
  const other = await openConnection({ url, onLost: () => {} });
  try {
    return await pool.transaction(async (run) => {
      await Promise.all([run(beginSql), run("SELECT pg_advisory_xact_lock($1::bigint)", preflightLock)]);
      const [row] = await other.run<{ got: string }>(
        "SELECT pg_try_advisory_xact_lock($1::bigint)::text AS got",
        preflightLock,
      );
      await run("COMMIT");
      return row?.got === "false"
        ? undefined
        : "advisory locks have no effect, so one approval could yield two tokens: this database cannot be used";
    });
  } finally {
    await other.destroy();
  }
}

async function findSettingsProblem({ run }: Pool, schema: string): Promise<string | undefined> {
  const [found] = await run<{ commit: string; block: number | null }>(
    `SELECT current_setting('synchronous_commit') AS commit,
       (SELECT cache_size FROM pg_sequences WHERE schemaname = $1 AND sequencename = 'log_entry_arrival_seq') AS block`,
    schema,
  );
  if (found?.commit === "off")
    return "synchronous_commit is off, so acknowledged changes could be lost: turn it on for this database or account";
  // With blocks, entries of one node would get earlier positions than entries of others that arrived before.
  if (found?.block !== 1)
    return "sequence numbers are allocated in blocks, so the log would lose its order: set the cache of the sequence log_entry_arrival_seq to 1";
  return undefined;
}
