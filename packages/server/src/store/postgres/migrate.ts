/** Brings a database to the tables of this version, once, however many nodes start at the same time. */
import { StoreNotFoundError } from "../store-not-found-error.ts";
import { beginSql, type Run, type Script } from "./connection.ts";
import type { Pool } from "./pool.ts";
import { listMigrations } from "./schema.ts";

/** Any number will do, as long as nobody else in this database uses it. */
const migrationLock = 4_353_474_001;

/**
 * Answers what the steps that were made say. Throws where the database is of a newer version, and, unless it is
 * to be made, where there is none.
 */
export function migrate(pool: Pool, schema: string, create: boolean): Promise<readonly string[]> {
  return pool.transaction(async (run, script) => {
    await run(beginSql);
    const applied = await migrateInTransaction(run, script, schema, create ? undefined : pool.redactedUrl);
    // Crashing before this leaves the schema of the version before; after it, that of this one.
    await run("COMMIT");
    return applied;
  });
}

/** The same inside a transaction that is under way. Named a place, it must have tables already. */
export async function migrateInTransaction(
  run: Run,
  script: Script,
  schema: string,
  mustExistAt?: string,
): Promise<readonly string[]> {
  await run("SELECT pg_advisory_xact_lock($1::bigint)", migrationLock);
  if (mustExistAt !== undefined && !(await schemaExists(run, schema)))
    throw new StoreNotFoundError(mustExistAt);
  await run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await run(
    `CREATE TABLE IF NOT EXISTS ${schema}.migration (
       number integer PRIMARY KEY, says text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
  const steps = listMigrations(schema);
  const currentVersion = await readSchemaVersion(run, schema);
  if (currentVersion > steps.length)
    throw new Error(
      `written by a newer version of countersign (schema ${currentVersion}; this version reads schema ${steps.length}): start that one`,
    );
  const pendingSteps = steps.slice(currentVersion);
  for (const { number, summary, sql } of pendingSteps) {
    await script(sql);
    await run(`INSERT INTO ${schema}.migration (number, says) VALUES ($1, $2)`, number, summary);
  }
  return pendingSteps.map(({ summary }) => summary);
}

async function schemaExists(run: Run, schema: string): Promise<boolean> {
  const [row] = await run<{ there: string | null }>(
    "SELECT to_regclass($1)::text AS there",
    `${schema}.migration`,
  );
  return row?.there != null;
}

async function readSchemaVersion(run: Run, schema: string): Promise<number> {
  const [row] = await run<{ number: number | null }>(`SELECT max(number) AS number FROM ${schema}.migration`);
  return row?.number ?? 0;
}
