/**
 * A copy of the file while it is in use: pages are copied as of one instant, also if other processes write meanwhile. The
 * copy is synced to disk, opened, and read through before anybody is told that there is one.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { backup, DatabaseSync } from "node:sqlite";
import { renameDurably } from "./durable-rename.ts";
import { findDatabaseCorruption } from "./integrity.ts";
import { checkSchema } from "./schema.ts";

/** Throws where there is something at `to` already, or where the copy is not sound; then there is none. */
export async function backupSqlite(path: string, to: string): Promise<void> {
  if (existsSync(to)) throw new Error(`${to} is there already`);
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
