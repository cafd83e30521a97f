/**
 * The tables, derived from the record definitions, and the schema version of a file (`PRAGMA user_version`). An older file
 * is migrated after it was copied; a file of another program or of a newer version is refused before anything in it is
 * changed.
 */
import { closeSync, openSync, rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { JsonObject } from "@countersign/protocol";
import type { Dialect } from "../migration/definition.ts";
import { listPending, schemaVersion } from "../migration/migrations.ts";
import { createIndexSql } from "../record/index-sql.ts";
import { definitions, type Kind, kinds } from "../record/records.ts";
import { renameDurably } from "./durable-rename.ts";

/** "CSGN", in the file's header. */
const applicationId = 0x4353474e;

/** Columns of a kind besides id, version, due_at and body, in the order in which they are written. */
export const columnsOf = (kind: Kind): readonly string[] => Object.keys(definitions[kind].columns);

/** `body` is the last column, so that reading other columns does not touch the overflow pages of a long body. */
function createTableSql(table: string, columns: readonly string[]): string {
  const columnSql = columns.map((name) => `${name} ${name.endsWith("_at") ? "INTEGER" : "TEXT"}, `);
  return `
CREATE TABLE "${table}" (
  id TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, due_at INTEGER, ${columnSql.join("")}body TEXT NOT NULL
) STRICT;
CREATE INDEX "${table}_due" ON "${table}" (due_at, id) WHERE due_at IS NOT NULL;`;
}

function tableSql(kind: Kind): string {
  return `${createTableSql(kind, columnsOf(kind))}
${createIndexSql(kind, definitions[kind].indexes, (table) => `"${table}"`)}`;
}

/** The requests in each approver's inbox. */
const inboxSql = `
CREATE TABLE waiting (approver TEXT NOT NULL, request TEXT NOT NULL, PRIMARY KEY (approver, request))
  STRICT, WITHOUT ROWID;
CREATE INDEX waiting_request ON waiting (request);`;

/**
 * Triggers make the log append-only: an entry gets its index once, indexes are consecutive, and nothing else changes.
 */
const logSql = `
CREATE TABLE log_entry (
  arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, line TEXT NOT NULL, request TEXT,
  leaf_index INTEGER UNIQUE
) STRICT;
CREATE INDEX log_entry_request ON log_entry (request) WHERE request IS NOT NULL;
CREATE TABLE log_text (
  entry INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, salt TEXT NOT NULL, PRIMARY KEY (entry, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_node (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx))
  STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (arrival INTEGER PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL, UNIQUE (size, note))
  STRICT;

CREATE TRIGGER log_entry_arrives BEFORE INSERT ON log_entry WHEN NEW.leaf_index IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a log entry gets its index from the sequencer'); END;
CREATE TRIGGER log_entry_stays BEFORE UPDATE OF arrival, id, line, request ON log_entry
  BEGIN SELECT RAISE(ABORT, 'a log entry is never changed'); END;
CREATE TRIGGER log_entry_sequenced BEFORE UPDATE OF leaf_index ON log_entry
  WHEN OLD.leaf_index IS NOT NULL
    OR NEW.leaf_index IS NOT (SELECT coalesce(max(leaf_index) + 1, 0) FROM log_entry)
  BEGIN SELECT RAISE(ABORT, 'a log entry gets the next index, once'); END;
CREATE TRIGGER log_text_stays BEFORE UPDATE ON log_text
  BEGIN SELECT RAISE(ABORT, 'a text of the log is erased or stays as it is'); END;
${["log_entry", "log_node", "checkpoint"].map((table) => forbid(table, "DELETE")).join("\n")}
${["log_node", "checkpoint"].map((table) => forbid(table, "UPDATE")).join("\n")}`;

function forbid(table: string, event: "DELETE" | "UPDATE"): string {
  return `CREATE TRIGGER ${table}_never_${event.toLowerCase()} BEFORE ${event} ON ${table}
  BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;`;
}

/** Returns the schema of a new file. */
export function createSchemaSql(): string {
  return [...kinds.map(tableSql), inboxSql, logSql].join("\n");
}

/** Checks the schema version without writing. Throws if the file belongs to another program or to a newer version. */
export function checkSchema(database: DatabaseSync): "empty" | "older" | "current" {
  // One statement, so that all values are of the same instant: another process may be creating the schema.
  const { id, version, tables } = database
    .prepare(
      `SELECT application_id AS id, user_version AS version, (SELECT count(*) FROM sqlite_schema) AS tables
       FROM pragma_application_id, pragma_user_version`,
    )
    .get() as { id: number; version: number; tables: number };
  if (id !== applicationId) {
    if (tables > 0) throw new Error("this database belongs to another program");
    return "empty";
  }
  if (version === schemaVersion) return "current";
  if (version < schemaVersion) return "older";
  throw new Error(
    `written by a newer version of countersign (schema ${version}; this version reads schema ${schemaVersion}): start the newer version`,
  );
}

/**
 * Creates the schema of an empty file, or migrates an older one after copying it to `<path>.schema-<version>`. Safe if several
 * processes open the file at the same time: one of them migrates. Calls `onMigrated` with a summary.
 */
export function prepareSchema(
  database: DatabaseSync,
  path: string,
  onMigrated: (message: string) => void,
): void {
  const state = checkSchema(database);
  if (state === "current") return;
  const from = readVersion(database);
  const copy = state === "older" ? copyBeforeMigration(database, path) : undefined;
  let migrated = false;
  database.exec("BEGIN IMMEDIATE");
  try {
    const found = checkSchema(database);
    if (found === "empty") database.exec(createSchemaSql());
    else if (found === "older") {
      migrate(database);
      migrated = true;
    }
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`);
    // Crashing before this leaves the file as it was, and the next start repeats the work; after it, the schema is current.
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
  if (migrated)
    onMigrated(
      `database upgraded from schema ${from} to ${schemaVersion}; the file before the upgrade is ${copy}`,
    );
}

function readVersion(database: DatabaseSync): number {
  const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
  return version;
}

/** Returns the path of the copy, which only this account can read. A copy of an attempt that failed is replaced. */
function copyBeforeMigration(database: DatabaseSync, path: string): string {
  const copy = `${path}.schema-${readVersion(database)}`;
  const partial = `${copy}.partial`;
  rmSync(partial, { force: true });
  closeSync(openSync(partial, "wx", 0o600));
  database.prepare("VACUUM INTO ?").run(partial);
  renameDurably(partial, copy);
  return copy;
}

const dialect: Dialect = {
  table: (name) => `"${name}"`,
  // SQLite cannot rename an index.
  renameIndex: (from, _, create) => `DROP INDEX "${from}";\n${create}`,
  renamePrimaryKey: () => "",
  createTable: createTableSql,
  // ALTER TABLE would put the column behind the body; see `createTableSql`.
  addColumn: (table, _, columns) => {
    const kept = ["id", "version", "due_at", ...columns.slice(0, -1), "body"].join(", ");
    return `
ALTER TABLE "${table}" RENAME TO "${table}_before";
DROP INDEX "${table}_due";
${createTableSql(table, columns)}
INSERT INTO "${table}" (${kept}) SELECT ${kept} FROM "${table}_before";
DROP TABLE "${table}_before";`;
  },
};

function migrate(database: DatabaseSync): void {
  for (const { sql, bodies = {} } of listPending(readVersion(database))) {
    database.exec(sql(dialect));
    for (const [table, rewrite] of Object.entries(bodies)) rewriteBodies(database, table, rewrite);
  }
}

const pageSize = 500;

/** Rewrites the JSON of every record, a page at a time. */
function rewriteBodies(
  database: DatabaseSync,
  table: string,
  rewrite: (record: JsonObject) => JsonObject,
): void {
  const select = database.prepare(
    `SELECT id, body FROM "${table}" WHERE id > ? ORDER BY id LIMIT ${pageSize}`,
  );
  const update = database.prepare(`UPDATE "${table}" SET body = ? WHERE id = ?`);
  for (let last = ""; ; ) {
    const rows = select.all(last) as { id: string; body: string }[];
    for (const { id, body } of rows) update.run(JSON.stringify(rewrite(JSON.parse(body) as JsonObject)), id);
    if (rows.length < pageSize) return;
    last = rows.at(-1)!.id;
  }
}
