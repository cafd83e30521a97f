import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { schemaVersion } from "../migration/migrations.ts";
import { openSqlite } from "./sqlite.ts";

function inDirectory(title: string, check: (directory: string) => Promise<void> | void): void {
  test(title, async () => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-schema-"));
    try {
      await check(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

/** Asserts that opening throws an error with path, reason and cause. */
function assertRejected(path: string, why: RegExp): void {
  assert.throws(
    () => openSqlite({ path }),
    (error: Error) => {
      assert.ok(error.message.startsWith(`${path}: `), error.message);
      assert.match(error.message, why);
      return error.cause instanceof Error;
    },
  );
}

describe("SQLite schema", () => {
  inDirectory("sets the schema version and creates the schema once", async (directory) => {
    const path = join(directory, "countersign.db");
    await openSqlite({ path }).close();
    const file = new DatabaseSync(path);
    assert.equal(file.prepare("PRAGMA user_version").get()?.user_version, schemaVersion);
    file.close();
    await openSqlite({ path }).close();
  });

  inDirectory("rejects a file of a newer version and leaves it unchanged", async (directory) => {
    const path = join(directory, "countersign.db");
    await openSqlite({ path }).close();
    const file = new DatabaseSync(path);
    file.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    file.close();
    const before = readFileSync(path);
    assertRejected(path, new RegExp(`schema ${schemaVersion + 1}.*start the newer version`));
    assert.deepEqual(readFileSync(path), before);
  });

  inDirectory("rejects a database of another program and leaves it unchanged", (directory) => {
    const path = join(directory, "other.db");
    const file = new DatabaseSync(path);
    file.exec("CREATE TABLE theirs (id INTEGER)");
    file.close();
    const before = readFileSync(path);
    assertRejected(path, /another program/);
    assert.deepEqual(readFileSync(path), before);
  });

  inDirectory("rejects a file that is not a database and leaves it unchanged", (directory) => {
    const path = join(directory, "notes.txt");
    writeFileSync(
      path,
      "these are notes, not a database, and there are enough of them to fill a header\n".repeat(9),
    );
    const before = readFileSync(path);
    assertRejected(path, /not a SQLite database/);
    assert.deepEqual(readFileSync(path), before);
  });

  inDirectory("rejects a directory and a path in a missing directory", (directory) => {
    assertRejected(directory, /is a directory/);
    assertRejected(join(directory, "missing", "countersign.db"), /directory does not exist/);
  });

  inDirectory("rejects a read-only file or directory when it is opened", async (directory) => {
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
    // Permissions do not apply to root, so as root this test switches to another account.
    const root = process.geteuid?.() === 0;
    if (root) process.seteuid?.(65534);
    try {
      assertRejected(readOnly, /read-only/);
      assertRejected(inside, /read-only|cannot be opened/);
    } finally {
      if (root) process.seteuid?.(0);
      chmodSync(locked, 0o755);
    }
  });
});
