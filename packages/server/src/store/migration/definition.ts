/** What a migration consists of. */
import type { JsonObject } from "@countersign/protocol";
import type { Index } from "../record/define-record.ts";
import { createIndexSql } from "../record/index-sql.ts";

/** The two SQL dialects differ only in what is listed here. */
export type Dialect = {
  /** `schema.table`, or the table alone. */
  readonly table: (name: string) => string;
  /** Renames an index, also one that belongs to a primary key (PostgreSQL only). */
  readonly renameIndex: (from: string, to: string, create: string) => string;
  readonly renamePrimaryKey: (from: string, to: string) => string;
  /** Creates the table of a record kind with these columns, and its index on `due_at`. */
  readonly createTable: (name: string, columns: readonly string[]) => string;
  /**
   * Adds a column to the table of a record kind. `columns`: all of them afterwards, the new one last. In SQLite this drops
   * the table's indexes except the one on `due_at`: create them afterwards with IF NOT EXISTS.
   */
  readonly addColumn: (table: string, column: string, columns: readonly string[]) => string;
};

export type Migration = {
  readonly number: number;
  readonly summary: string;
  readonly sql: (dialect: Dialect) => string;
  /** After the SQL: rewrites the JSON of every record of a table. */
  readonly bodies?: { readonly [table: string]: (record: JsonObject) => JsonObject };
};

/** The columns besides id, version, due_at and body, and the indexes besides those on id and due_at. */
export type NewTable = { readonly columns?: readonly string[]; readonly indexes?: readonly Index[] };

/** Returns the SQL that creates the table of a record kind with its indexes. */
export function createTable(
  dialect: Dialect,
  name: string,
  { columns = [], indexes = [] }: NewTable,
): string {
  return `${dialect.createTable(name, columns)}\n${createIndexSql(name, indexes, dialect.table)}`;
}

/**
 * Returns a migration that only creates the table of a new record kind. Write columns and indexes as literals: the migration
 * must not follow the record definition, which later versions change.
 */
export function addTable(number: number, name: string, table: NewTable = {}): Migration {
  return { number, summary: `table ${name}`, sql: (dialect) => createTable(dialect, name, table) };
}
