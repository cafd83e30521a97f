import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { schemaVersion } from "../migration/migrations.ts";
import { createSchemaSql } from "./schema.ts";
import { openSqlite } from "./sqlite.ts";

function inDirectory(sentence: string, check: (directory: string) => Promise<void> | void): void {
  test(sentence, async () => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-schema-"));
    try {
      await check(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

/** Opening throws an error that names the path, says why, and keeps the cause. */
function refuses(path: string, why: RegExp): void {
  assert.throws(
    () => openSqlite({ path }),
    (error: Error) => {
      assert.ok(error.message.startsWith(`${path}: `), error.message);
      assert.match(error.message, why);
      return error.cause instanceof Error;
    },
  );
}

test("a change of the schema is a new version of it", () => {
  const digest = hash("sha256", createSchemaSql(), "base64url");
  assert.deepEqual(
    { schemaVersion, digest },
    { schemaVersion: 4, digest: "c8q3q1e_DcoUC_bwFFQ0xL3-hZkM9P5in9Q3EYQxlJ4" },
    "add a migration (store/migration/) and update this digest",
  );
});

inDirectory("a file says its schema version, and is filled once", async (directory) => {
  const path = join(directory, "countersign.db");
  await openSqlite({ path }).close();
  const file = new DatabaseSync(path);
  assert.equal(file.prepare("PRAGMA user_version").get()?.user_version, schemaVersion);
  file.close();
  await openSqlite({ path }).close();
});

inDirectory("a file of a newer version is refused and left as it was", async (directory) => {
  const path = join(directory, "countersign.db");
  await openSqlite({ path }).close();
  const file = new DatabaseSync(path);
  file.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
  file.close();
  const before = readFileSync(path);
  refuses(path, new RegExp(`schema ${schemaVersion + 1}.*start the newer version`));
  assert.deepEqual(readFileSync(path), before);
});

inDirectory("the database of another program is refused and left as it was", (directory) => {
  const path = join(directory, "other.db");
  const file = new DatabaseSync(path);
  file.exec("CREATE TABLE theirs (id INTEGER)");
  file.close();
  const before = readFileSync(path);
  refuses(path, /another program/);
  assert.deepEqual(readFileSync(path), before);
});

inDirectory("a file that is not a database is refused and left as it was", (directory) => {
  const path = join(directory, "notes.txt");
  writeFileSync(
    path,
    "these are notes, not a database, and there are enough of them to fill a header\n".repeat(9),
  );
  const before = readFileSync(path);
  refuses(path, /not a SQLite database/);
  assert.deepEqual(readFileSync(path), before);
});

inDirectory("a directory, or a file in a directory that is not there, is refused", (directory) => {
  refuses(directory, /is a directory/);
  refuses(join(directory, "missing", "countersign.db"), /directory does not exist/);
});

inDirectory(
  "a file or directory that may not be written to is refused when it is opened",
  async (directory) => {
    const readOnly = join(directory, "read-only.db");
    await openSqlite({ path: readOnly }).close();
    chmodSync(readOnly, 0o444);
    const locked = join(directory, "locked");
    mkdirSync(locked);
    const inside = join(locked, "countersign.db");
    await openSqlite({ path: inside }).close();
    chmodSync(inside, 0o666);
    chmodSync(locked, 0o555);
    chmodSync(directory, 0o755);
    // Permissions do not bind root, so that as root this test looks through another account's eyes.
    const root = process.geteuid?.() === 0;
    if (root) process.seteuid?.(65534);
    try {
      refuses(readOnly, /read-only/);
      refuses(inside, /read-only|cannot be opened/);
    } finally {
      if (root) process.seteuid?.(0);
      chmodSync(locked, 0o755);
    }
  },
);
