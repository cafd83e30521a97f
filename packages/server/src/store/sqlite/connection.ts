/**
 * One open database file: pragmas, prepared statements and error messages. SQLite errors are rethrown as an `Error`
 * that names the path, with the original as `cause`.
 */
import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { checkSchema, prepareSchema } from "./schema.ts";

/** How long to wait for the lock while another process writes. */
export const busyTimeoutMs = 5_000;

/** How long one statement may wait for the lock once the file is open. It blocks the event loop. */
const statementBusyTimeoutMs = 50;

/** Number of changed rows, and rowid of the last inserted row. */
export type RunResult = { readonly changes: number; readonly lastInsertRowid: number };

export type Statement<R> = {
  get(...values: SQLInputValue[]): R | undefined;
  all(...values: SQLInputValue[]): R[];
  run(...values: SQLInputValue[]): RunResult;
};

export type Connection = {
  /** True if other processes can open the same data. */
  readonly shared: boolean;
  /** `R` is the row type. */
  prepare<R = never>(sql: string): Statement<R>;
  inTransaction(): boolean;
  /** Idempotent. The last process to close checkpoints and removes the write-ahead log. */
  close(): void;
};

/**
 * Opens or creates the file and migrates it to the current schema. `":memory:"` opens a private in-memory database.
 * `onMigrated` is called if the file had an older schema.
 */
export function openConnection(path: string, onMigrated: (message: string) => void = () => {}): Connection {
  const shared = path !== ":memory:";
  let database: DatabaseSync | undefined;
  try {
    // Create the file here, so that only this account can read it; SQLite gives `-wal` and `-shm` the same mode.
    // This also detects a read-only file now instead of at the first write.
    if (shared) closeSync(openSync(path, "a", 0o600));
    database = new DatabaseSync(path, {
      timeout: busyTimeoutMs,
      enableForeignKeyConstraints: false,
      defensive: true,
    });
    checkSchema(database);
    enableWal(database);
    // FULL: a commit returns after its fsync. fullfsync: flush the drive cache on macOS. secure_delete: overwrite
    // erased content, so that it does not stay in free pages. cache_size: 16 MB, so that polled requests stay in
    // memory.
    database.exec("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA secure_delete = ON");
    database.exec("PRAGMA cache_size = -16000");
    prepareSchema(database, path, onMigrated);
    database.exec(`PRAGMA busy_timeout = ${statementBusyTimeoutMs}`);
  } catch (cause) {
    database?.close();
    throw createStoreError(path, cause);
  }
  return createConnection(path, database, shared);
}

/**
 * Enables the write-ahead log, a persistent setting of the file. SQLite does not apply its busy timeout to this step,
 * for example if two processes open a new file at the same time, so the retry is done here.
 */
function enableWal(database: DatabaseSync): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; ; waitedMs += 10) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (resultCode(error) !== sqliteBusy || waitedMs >= busyTimeoutMs) throw error;
      Atomics.wait(pause, 0, 0, 10);
    }
  }
}

function createConnection(path: string, database: DatabaseSync, shared: boolean): Connection {
  const toStoreError = (cause: unknown) =>
    database.isOpen ? createStoreError(path, cause) : new Error(`${path}: the store is closed`, { cause });

  function prepareStatement(sql: string): StatementSync {
    try {
      return database.prepare(sql);
    } catch (cause) {
      throw toStoreError(cause);
    }
  }
  return {
    shared,
    prepare: <R>(sql: string): Statement<R> => {
      const statement = prepareStatement(sql);
      // Written out without a closure per call: hot path, about a dozen statements per request.
      return {
        get: (...values) => {
          try {
            return statement.get(...values) as R | undefined;
          } catch (cause) {
            throw toStoreError(cause);
          }
        },
        all: (...values) => {
          try {
            return statement.all(...values) as R[];
          } catch (cause) {
            throw toStoreError(cause);
          }
        },
        run: (...values) => {
          try {
            return statement.run(...values) as RunResult;
          } catch (cause) {
            throw toStoreError(cause);
          }
        },
      };
    },
    inTransaction: () => database.isOpen && database.isTransaction,
    close: () => {
      if (database.isOpen) database.close();
    },
  };
}

/** Messages by SQLite primary result code or system error code. */
const reasons: { readonly [code: number | string]: string } = {
  5: "locked by another process",
  8: "cannot be written (read-only)",
  10: "I/O error, or no space left on the disk",
  11: "the database file is corrupt",
  13: "no space left on the disk",
  14: "the file, or one beside it, cannot be opened (is its directory writable by this account?)",
  26: "not a SQLite database",
  EACCES: "not writable by this account (read-only)",
  EPERM: "cannot be written (read-only or immutable)",
  EISDIR: "is a directory, not a file",
  ENOENT: "its directory does not exist",
  ENOSPC: "no space left on the disk",
  EROFS: "cannot be written (read-only)",
};

/** SQLITE_BUSY. */
const sqliteBusy = 5;

/** SQLITE_CONSTRAINT: only the statement was undone; its transaction can continue. */
const sqliteConstraint = 19;

/** Returns the primary result code of a SQLite error. */
function resultCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
    ? error.errcode & 0xff
    : undefined;
}

function createStoreError(path: string, cause: unknown): Error {
  const { message, code } = cause as NodeJS.ErrnoException;
  return new Error(`${path}: ${reasons[resultCode(cause) ?? code ?? ""] ?? message}`, { cause });
}

/** Returns true if another process holds the lock. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && resultCode(error.cause) === sqliteBusy;
}

/** Returns true for errors after which SQLite may have rolled back the transaction. */
export function isTransactionBroken(error: unknown): boolean {
  const code = error instanceof Error ? resultCode(error.cause) : undefined;
  return code !== undefined && code !== sqliteConstraint;
}
