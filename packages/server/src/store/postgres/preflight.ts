/**
 * Whether what answers at that address keeps the promises that this engine is built on. Databases that speak PostgreSQL's
 * protocol may accept an advisory lock and lock nothing, or hand out numbers in blocks: then there would be no error, and
 * two tokens for one approval. It is asked once, at the start, and never guessed from a name or a version.
 */

import { beginSql, openConnection } from "./connection.ts";
import type { Pool } from "./pool.ts";

/** Any number will do, as long as nobody else in this database uses it. */
const preflightLock = 4_353_474_003;

/** Throws an `Error` that says what is wrong, and what to do about it. */
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
        : "its advisory locks lock nothing, and nothing would keep one approval from giving two tokens: it cannot be used";
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
    return "synchronous_commit is off there, and what was acknowledged could be lost: turn it on for this database or account";
  // A node that holds a block of numbers would write entries into the order in which others arrived before them.
  if (found?.block !== 1)
    return "it hands out numbers in blocks, and the log would lose its order: set the cache of the sequence log_entry_arrival_seq to 1";
  return undefined;
}
