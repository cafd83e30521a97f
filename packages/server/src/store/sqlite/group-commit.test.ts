import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { openConnection } from "./connection.ts";
import { createGroupCommit } from "./group-commit.ts";

/** Opens an in-memory database with two tables; a `child` without its `parent` fails only at COMMIT. */
function open() {
  const connection = openConnection(":memory:");
  for (const sql of [
    "PRAGMA foreign_keys = ON",
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
  ])
    connection.prepare(sql).run();
  const addParent = connection.prepare("INSERT INTO parent (id) VALUES (?)");
  const addChild = connection.prepare("INSERT INTO child (parent) VALUES (?)");
  const countRows = connection.prepare<{ rows: number }>(
    "SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child) AS rows",
  );
  return {
    connection,
    group: createGroupCommit(connection),
    addParent,
    addChild,
    rows: () => countRows.get()!.rows,
  };
}

describe("createGroupCommit", () => {
  test("runs work in order of submission and resolves with its results", async () => {
    const { group, addParent, rows } = open();
    const count = (id: number) => () => {
      addParent.run(id);
      return rows();
    };
    assert.deepEqual(await Promise.all([1, 2, 3].map((id) => group.submit(count(id)))), [1, 2, 3]);
    assert.equal(rows(), 3);
  });

  test("does not run work in the turn of its submission", async () => {
    const { group, addParent, rows } = open();
    const result = group.submit(() => addParent.run(1));
    assert.equal(rows(), 0);
    await Promise.resolve();
    assert.equal(rows(), 0);
    await result;
    assert.equal(rows(), 1);
  });

  test("undoes only the work that throws, including its earlier writes", async () => {
    const { group, addParent, rows } = open();
    const refused = new Error("rejected by the caller");
    const results = await Promise.allSettled([
      group.submit(() => addParent.run(1)),
      group.submit(() => {
        addParent.run(2);
        throw refused;
      }),
      group.submit(() => {
        addParent.run(3);
        addParent.run(1);
      }),
      group.submit(() => addParent.run(4)),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "rejected", "fulfilled"],
    );
    assert.equal(results[1]?.status === "rejected" && results[1].reason, refused);
    assert.equal(rows(), 2);
  });

  test("rejects the whole batch if COMMIT throws, and writes the next one", async () => {
    const { group, addParent, addChild, rows } = open();
    const results = await Promise.allSettled([
      group.submit(() => addParent.run(1)),
      group.submit(() => addChild.run(99)),
      group.submit(() => addParent.run(2)),
    ]);
    for (const result of results) {
      assert.ok(result.status === "rejected");
      assert.match(result.reason.message, /:memory:: FOREIGN KEY constraint failed/);
      assert.ok(result.reason.cause instanceof Error);
    }
    assert.equal(rows(), 0);
    await group.submit(() => addParent.run(3));
    assert.equal(rows(), 1);
  });

  test("rejects the whole batch if the file fails", async () => {
    const { connection, group, addParent, rows } = open();
    connection.prepare("CREATE TABLE bulk (bytes BLOB)").run();
    const fill = connection.prepare("INSERT INTO bulk (bytes) VALUES (zeroblob(?))");
    connection.prepare("PRAGMA max_page_count = 300").get();
    const results = await Promise.allSettled([
      group.submit(() => addParent.run(1)),
      group.submit(() => fill.run(4_000_000)),
      group.submit(() => addParent.run(2)),
    ]);
    for (const result of results)
      assert.match(result.status === "rejected" ? result.reason.message : "", /no space left/);
    assert.equal(rows(), 0);
    await group.submit(() => addParent.run(3));
    assert.equal(rows(), 1);
  });

  test("writes the queue synchronously on flush", async () => {
    const { connection, group, addParent, rows } = open();
    const result = group.submit(() => addParent.run(1));
    group.flush();
    assert.equal(rows(), 1);
    connection.close();
    await result;
  });

  test("keeps the event loop free while another process writes, then writes in order", async () => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-group-"));
    const path = join(directory, "countersign.db");
    const connection = openConnection(path);
    connection.prepare("CREATE TABLE word (id INTEGER PRIMARY KEY, word TEXT)").run();
    const group = createGroupCommit(connection);
    const add = connection.prepare("INSERT INTO word (word) VALUES (?)");
    const all = connection.prepare<{ word: string }>("SELECT word FROM word ORDER BY id");
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    const first = group.submit(() => add.run("first"));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const second = group.submit(() => add.run("second"));
    assert.deepEqual(all.all(), []);
    other.exec("COMMIT");
    await Promise.all([first, second]);
    assert.deepEqual(
      all.all().map(({ word }) => word),
      ["first", "second"],
    );
    other.close();
    connection.close();
    rmSync(directory, { recursive: true });
  });
});
