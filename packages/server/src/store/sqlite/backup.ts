/**
 * Backs up the file while it is in use: all pages are copied as of one instant, also while other processes write. The
 * copy is synced to disk, opened and checked before the backup counts as done.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { backup, DatabaseSync } from "node:sqlite";
import { renameDurably } from "./durable-rename.ts";
import { findDatabaseCorruption } from "./integrity.ts";
import { checkSchema } from "./schema.ts";

/** Throws if `to` exists or if the copy is corrupt; then no copy is left behind. */
export async function backupSqlite(path: string, to: string): Promise<void> {
  if (existsSync(to)) throw new Error(`${to} already exists`);
  const partial = `${to}.partial`;
  rmSync(partial, { force: true });
  try {
    // Created here, so that only this account can read it.
    closeSync(openSync(partial, "wx", 0o600));
    const source = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    try {
      await backup(source, partial, { rate: 1_000 });
    } finally {
      source.close();
    }
    verifyCopy(partial);
    renameDurably(partial, to);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

function verifyCopy(path: string): void {
  const copy = new DatabaseSync(path);
  try {
    checkSchema(copy);
    const corruption = findDatabaseCorruption(copy);
    if (corruption !== undefined) throw new Error(`the copy is damaged: ${corruption}`);
  } finally {
    copy.close();
  }
}
