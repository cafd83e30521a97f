/** Creates the schema of a new database or migrates an older one, once, however many nodes start at the same time. */
import type { JsonObject } from "@countersign/protocol";
import type { Dialect } from "../migration/definition.ts";
import { listPending, schemaVersion } from "../migration/migrations.ts";
import { StoreNotFoundError } from "../store-not-found-error.ts";
import { beginSql, type Run, type Script } from "./connection.ts";
import type { Pool } from "./pool.ts";
import { columnTypeOf, createSchemaSql, createTableSql } from "./schema.ts";

/** Advisory lock key; arbitrary, but unique within the database. */
const migrationLock = 4_353_474_001;

/**
 * Returns the summaries of the migrations that were applied. Rejects if the database is of a newer version, or, unless
 * `create` is set, if it does not exist.
 */
export function migrate(pool: Pool, schema: string, create: boolean): Promise<readonly string[]> {
  return pool.transaction(async (run, script) => {
    await run(beginSql);
    const applied = await migrateInTransaction(run, script, schema, create ? undefined : pool.redactedUrl);
    // Crashing before COMMIT leaves the old schema; after it, the schema is current.
    await run("COMMIT");
    return applied;
  });
}

/** The same within an open transaction. With `mustExistAt` (the redacted URL), the schema must exist. */
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
  const currentVersion = await readSchemaVersion(run, schema);
  if (currentVersion > schemaVersion)
    throw new Error(
      `written by a newer version of countersign (schema ${currentVersion}; this version reads schema ${schemaVersion}): start the newer version`,
    );
  if (currentVersion === 0) {
    await script(createSchemaSql(schema));
    const summary = "the current tables";
    await recordMigration(run, schema, schemaVersion, summary);
    return [summary];
  }
  const pending = listPending(currentVersion);
  for (const { number, summary, sql, bodies = {} } of pending) {
    await script(sql(dialectOf(schema)));
    for (const [table, rewrite] of Object.entries(bodies)) await rewriteBodies(run, schema, table, rewrite);
    await recordMigration(run, schema, number, summary);
  }
  return pending.map(({ summary }) => summary);
}

async function recordMigration(run: Run, schema: string, number: number, summary: string): Promise<void> {
  await run(`INSERT INTO ${schema}.migration (number, says) VALUES ($1, $2)`, number, summary);
}

function dialectOf(schema: string): Dialect {
  return {
    table: (name) => `${schema}."${name}"`,
    renameIndex: (from, to) => `ALTER INDEX ${schema}."${from}" RENAME TO "${to}";`,
    createTable: (name, columns) => createTableSql(schema, name, columns),
    addColumn: (table, column) =>
      `ALTER TABLE ${schema}."${table}" ADD COLUMN ${column} ${columnTypeOf(column) === "text" ? 'text COLLATE "C"' : "bigint"};`,
    renamePrimaryKey: (from, to) => `ALTER INDEX ${schema}."${from}_pkey" RENAME TO "${to}_pkey";`,
  };
}

const pageSize = 500;

/** Rewrites the JSON of every record, a page at a time. */
async function rewriteBodies(
  run: Run,
  schema: string,
  table: string,
  rewrite: (record: JsonObject) => JsonObject,
): Promise<void> {
  for (let last = ""; ; ) {
    const rows = await run<{ id: string; body: string }>(
      `SELECT id, body FROM ${schema}."${table}" WHERE id > $1 ORDER BY id LIMIT ${pageSize}`,
      last,
    );
    for (const { id, body } of rows)
      await run(
        `UPDATE ${schema}."${table}" SET body = $1 WHERE id = $2`,
        JSON.stringify(rewrite(JSON.parse(body) as JsonObject)),
        id,
      );
    if (rows.length < pageSize) return;
    last = rows.at(-1)!.id;
  }
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
