/**
 * One open file: its pragmas, its prepared statements, and the words for what is wrong with it. Whatever SQLite
 * throws leaves here as an `Error` that names the path, with SQLite's own error as its cause.
 */
import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { checkSchema, prepareSchema } from "./schema.ts";

/** How long is waited while another process writes. */
export const busyTimeoutMs = 5_000;

/** For how much of it a statement alone may wait, once the file is open: nothing else happens meanwhile. */
const statementBusyTimeoutMs = 50;

/** How many rows a statement changed, and the rowid of the last that it inserted. */
export type RunResult = { readonly changes: number; readonly lastInsertRowid: number };

export type Statement<R> = {
  get(...values: SQLInputValue[]): R | undefined;
  all(...values: SQLInputValue[]): R[];
  run(...values: SQLInputValue[]): RunResult;
};

export type Connection = {
  /** Whether other processes can open the same data. */
  readonly shared: boolean;
  /** `R` is what the statement's columns are known to hold. */
  prepare<R = never>(sql: string): Statement<R>;
  inTransaction(): boolean;
  /** Idempotent. The last process to close moves the write-ahead log into the file and removes it. */
  close(): void;
};

/** Opens or creates the file and brings it to the current schema; `onMigrated` is told if it was older. `":memory:"` is a database of this handle alone. */
export function openConnection(path: string, onMigrated: (message: string) => void = () => {}): Connection {
  const shared = path !== ":memory:";
  let database: DatabaseSync | undefined;
  try {
    // Created here and not by SQLite, so that what is inside is readable by this account only; the files beside it
    // (-wal, -shm) take the same mode. It also finds a read-only file now, and not at the first write.
    if (shared) closeSync(openSync(path, "a", 0o600));
    database = new DatabaseSync(path, {
      timeout: busyTimeoutMs,
      enableForeignKeyConstraints: false,
      defensive: true,
    });
    checkSchema(database);
    enableWal(database);
    // FULL: a commit returns after its fsync. fullfsync: where fsync does not reach the disk (macOS), what does.
    // secure_delete: what is erased is overwritten, and does not stay in the file's free pages.
    // cache_size: 16 MB, so that the requests that are being polled stay in memory.
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
 * Turns the write-ahead log on, which a file remembers. For this one step SQLite does not wait while another process
 * has the file open for writing (as when two start on a new file at once), so the waiting is done here.
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
      // Spelled out, and no function made for each call: every request comes by here a dozen times and more.
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

/** What an operator can do something about: SQLite's primary result codes, and the system's error codes. */
const reasons: { readonly [code: number | string]: string } = {
  5: "another process keeps it locked",
  8: "it cannot be written to (read-only)",
  10: "the disk refused to read or write (I/O error, or no room left)",
  11: "the file is damaged",
  13: "there is no room left on the disk",
  14: "it, or a file beside it, cannot be opened (may this account write to its directory?)",
  26: "this file is not a SQLite database",
  EACCES: "it cannot be written to by this account (read-only)",
  EPERM: "it cannot be written to (read-only, or made immutable)",
  EISDIR: "this is a directory, not a file",
  ENOENT: "its directory does not exist",
  ENOSPC: "there is no room left on the disk",
  EROFS: "it cannot be written to (read-only)",
};

/** SQLITE_BUSY. */
const sqliteBusy = 5;

/** SQLITE_CONSTRAINT: the statement was refused and undone, the transaction around it is whole. */
const sqliteConstraint = 19;

/** SQLite's primary result code (the extended one says more than anybody here asks). */
function resultCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
    ? error.errcode & 0xff
    : undefined;
}

function createStoreError(path: string, cause: unknown): Error {
  const { message, code } = cause as NodeJS.ErrnoException;
  return new Error(`${path}: ${reasons[resultCode(cause) ?? code ?? ""] ?? message}`, { cause });
}

/** True where another process is writing, or keeps the file to itself. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && resultCode(error.cause) === sqliteBusy;
}

/** True for a fault of the whole file, after which SQLite may already have dropped the transaction under way. */
export function isTransactionBroken(error: unknown): boolean {
  const code = error instanceof Error ? resultCode(error.cause) : undefined;
  return code !== undefined && code !== sqliteConstraint;
}
