/**
 * Whether a file is what SQLite wrote: its pages, their order, and every index beside its table. It reads the whole file,
 * which is for an operator to ask for, and not for each start. A byte that was changed inside a value is not found: SQLite
 * keeps no checksums of a page. For the log, its proofs find that.
 */
import { DatabaseSync } from "node:sqlite";

/** The first thing that is wrong with the file, or undefined. Throws if it cannot be read at all. */
export function findCorruption(path: string): string | undefined {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    return findDatabaseCorruption(database);
  } finally {
    database.close();
  }
}

/** The same of one that is open. */
export function findDatabaseCorruption(database: DatabaseSync): string | undefined {
  const found = database.prepare("PRAGMA integrity_check(1)").get()?.integrity_check;
  return found === "ok" ? undefined : String(found);
}
