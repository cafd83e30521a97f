/**
 * Integrity check of a file: pages, their order, and every index against its table. Reads the whole file, so it runs
 * on request only. A changed byte within a value is not detected, because SQLite has no page checksums; for the log,
 * its proofs detect that.
 */
import { DatabaseSync } from "node:sqlite";

/** Returns the first corruption found, or undefined. Throws if the file cannot be read. */
export function findCorruption(path: string): string | undefined {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    return findDatabaseCorruption(database);
  } finally {
    database.close();
  }
}

/** The same for an open database. */
export function findDatabaseCorruption(database: DatabaseSync): string | undefined {
  const found = database.prepare("PRAGMA integrity_check(1)").get()?.integrity_check;
  return found === "ok" ? undefined : String(found);
}
