/** Brings a database to the tables of this version, once, however many nodes start at the same time. */
import { MissingStore } from "../missing.ts";
import type { Pool } from "./connection.ts";
import { begin, type Run, type Script } from "./link.ts";
import { migrations } from "./schema.ts";

/** Any number will do, as long as nobody else in this database uses it. */
const lock = 4_353_474_001;

/**
 * Answers what the steps that were made say. Throws where the database is of a newer version, and, unless it is
 * to be made, where there is none.
 */
export function migrate(pool: Pool, schema: string, create: boolean): Promise<readonly string[]> {
  return pool.transaction(async (run, script) => {
    await run(begin);
    const made = await migrateWithin(run, script, schema, create ? undefined : pool.place);
    // Crashing before this leaves the schema of the version before; after it, that of this one.
    await run("COMMIT");
    return made;
  });
}

/** The same inside a transaction that is under way. Named a place, it must have tables already. */
export async function migrateWithin(
  run: Run,
  script: Script,
  schema: string,
  existingAt?: string,
): Promise<readonly string[]> {
  await run("SELECT pg_advisory_xact_lock($1::bigint)", lock);
  if (existingAt !== undefined && !(await isThere(run, schema))) throw new MissingStore(existingAt);
  await run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await run(
    `CREATE TABLE IF NOT EXISTS ${schema}.migration (
       number integer PRIMARY KEY, says text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
  const steps = migrations(schema);
  const done = await versionOf(run, schema);
  if (done > steps.length)
    throw new Error(
      `written by a newer version of countersign (schema ${done}; this version reads schema ${steps.length}): start that one`,
    );
  const missing = steps.slice(done);
  for (const { number, says, sql } of missing) {
    await script(sql);
    await run(`INSERT INTO ${schema}.migration (number, says) VALUES ($1, $2)`, number, says);
  }
  return missing.map(({ says }) => says);
}

async function isThere(run: Run, schema: string): Promise<boolean> {
  const [row] = await run<{ there: string | null }>(
    "SELECT to_regclass($1)::text AS there",
    `${schema}.migration`,
  );
  return row?.there != null;
}

async function versionOf(run: Run, schema: string): Promise<number> {
  const [row] = await run<{ number: number | null }>(`SELECT max(number) AS number FROM ${schema}.migration`);
  return row?.number ?? 0;
}
