/** What a migration consists of. */
import type { JsonObject } from "@countersign/protocol";

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
