import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, mock, test } from "node:test";
import { readCommitEnds } from "@countersign/testing/process/wal";
import { anApprover, anEntry, aReplay, aRequest, aWholeChange, testNow } from "../contract/fixture.ts";
import { type OpenedStore, storeContract } from "../contract.ts";
import { kinds, leasedKinds } from "../record/records.ts";
import { absent, type ChangeEvent, type Outcome } from "../store.ts";
import { openConnection } from "./connection.ts";
import { claimableSql, queries } from "./reader.ts";
import { createSchemaSql } from "./schema.ts";
import { openSqlite } from "./sqlite.ts";

storeContract("SQLite", async (): Promise<OpenedStore> => {
  const directory = mkdtempSync(join(tmpdir(), "countersign-store-"));
  const path = join(directory, "countersign.db");
  const handles = [openSqlite({ path })];
  return {
    store: handles[0]!,
    reopen: async () => {
      const handle = openSqlite({ path });
      handles.push(handle);
      return handle;
    },
    discard: async () => {
      for (const handle of handles) await handle.close();
      rmSync(directory, { recursive: true });
    },
  };
});

/** Runs the check with a path in a directory that is removed afterwards. */
function inFile(title: string, check: (path: string) => Promise<void>): void {
  test(title, async () => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-sqlite-"));
    try {
      await check(join(directory, "countersign.db"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

describe("openSqlite", () => {
  inFile("changes of one turn of the event loop share one commit and one fsync", async (path) => {
    const store = openSqlite({ path });
    const before = readCommitEnds(path).length;
    const outcomes = await new Promise<Outcome[]>((resolve) => {
      const outcomePromises: Promise<Outcome>[] = [];
      const submit = async (n: number) => {
        await undefined;
        if (n % 2) return store.commit({ writes: [], entries: [anEntry()] });
        return store.commitUnlogged({ writes: [{ put: "replay", record: aReplay(), ifVersion: absent }] });
      };
      // One hundred callbacks of one phase, as when one poll finds a hundred sockets readable.
      for (let n = 0; n < 100; n += 1)
        setImmediate(() => {
          outcomePromises.push(submit(n));
          if (n === 99) resolve(Promise.all(outcomePromises));
        });
    });
    assert.deepEqual(outcomes, Array(100).fill("committed"));
    assert.equal(readCommitEnds(path).length - before, 1);
    await store.close();
  });

  inFile("sequential changes have one commit each, before their promise resolves", async (path) => {
    const store = openSqlite({ path });
    const before = readCommitEnds(path).length;
    for (let n = 1; n <= 5; n += 1) {
      await store.commit({ writes: [], entries: [anEntry()] });
      assert.equal(readCommitEnds(path).length - before, n);
    }
    await store.close();
  });

  inFile("a batch of conflicts only writes nothing", async (path) => {
    const store = openSqlite({ path });
    const before = readCommitEnds(path).length;
    const late = () => store.commit({ writes: [], notOnOrAfter: 0, entries: [anEntry()] });
    assert.deepEqual(await Promise.all([late(), late()]), ["conflict", "conflict"]);
    assert.equal(readCommitEnds(path).length, before);
    await store.close();
  });

  inFile("sets WAL, full sync, secure delete and a short busy timeout", async (path) => {
    const connection = openConnection(path);
    const settings = ["journal_mode", "synchronous", "fullfsync", "secure_delete", "busy_timeout"].map(
      (name) => Object.values(connection.prepare<object>(`PRAGMA ${name}`).get() ?? {}).at(0),
    );
    const full = 2;
    assert.deepEqual(settings, ["wal", full, 1, 1, 50]);
    connection.close();
  });

  test("rejects a change that is written at notOnOrAfter (T11)", async () => {
    let now = testNow;
    const store = openSqlite({ path: ":memory:", clock: () => now });
    const change = { writes: [], notOnOrAfter: testNow + 10 };
    now = testNow + 9;
    const inTime = store.commit({ ...change, entries: [anEntry()] });
    assert.equal(await inTime, "committed");
    const tooLate = store.commit({ ...change, entries: [anEntry()] });
    now = testNow + 10;
    assert.equal(await tooLate, "conflict");
    assert.equal(store.now(), testNow + 10);
    await store.close();
  });

  test("discards an in-memory store on close", async () => {
    const store = openSqlite({ path: ":memory:" });
    const stop = store.watch(() => {});
    assert.equal(await store.commit(aWholeChange("a")), "committed");
    assert.equal(await store.log.sequence(9), 2);
    stop();
    await store.close();
    const next = openSqlite({ path: ":memory:" });
    assert.equal(await next.log.size(), 0);
    await next.close();
  });

  test("uses an index for every reader, without sorting", () => {
    // Plan rows of compound statements.
    const together = /^(COMPOUND QUERY|LEFT-MOST SUBQUERY|UNION ALL|SCAN CONSTANT ROW|SCALAR SUBQUERY \d+)$/;
    const database = new DatabaseSync(":memory:");
    database.exec(createSchemaSql());
    const statements = Object.values(queries).flatMap((query) =>
      typeof query === "string" ? [query] : kinds.map(query),
    );
    statements.push(...leasedKinds.map(claimableSql));
    for (const statement of statements) {
      const plan = database.prepare(`EXPLAIN QUERY PLAN ${statement}`).all();
      // Without WHERE: a scan of the whole table in id order. With WHERE: a search by index.
      const expected = statement.includes("WHERE")
        ? /^SEARCH \w+ (EXISTS )?USING |^SCAN (message|callback) USING INDEX (message|callback)_abandoned$/
        : /^SCAN \w+ USING INDEX /;
      for (const { detail } of plan)
        if (!together.test(String(detail))) assert.match(String(detail), expected, statement);
    }
    database.close();
  });

  inFile("eraseTexts removes the text from all files", async (path) => {
    const store = openSqlite({ path });
    const texts = [
      "a short secret",
      "a secret that fills pages of its own ".repeat(500),
      "ein Geheimnis mit Umlaut: ü",
    ];
    const entries = Array.from({ length: 60 }, (_, n) =>
      anEntry({}, { reason: texts[n % 3]!, other: "also secret" }),
    );
    for (const entry of entries) await store.commit({ writes: [], entries: [entry] });
    await store.log.sequence(100);
    const inFiles = () =>
      [path, `${path}-wal`].flatMap((file) => {
        const content = readFileSync(file).toString("latin1");
        return ["secret", "Geheimnis"].filter((word) => content.includes(word));
      });
    assert.deepEqual([...new Set(inFiles())], ["secret", "Geheimnis"]);
    for (const { entry } of entries) await store.log.eraseTexts(entry.id);
    assert.deepEqual(inFiles(), []);
    await store.close();
  });

  inFile("triggers reject updates and deletes of the log", async (path) => {
    const store = openSqlite({ path });
    await store.commit({ writes: [], entries: [anEntry({ request: "req_1" }, { reason: "told" })] });
    await store.log.sequence(1);
    await store.commit({ writes: [], entries: [anEntry()] });
    await store.log.storeCheckpoint(1, "note");
    await store.close();
    const other = new DatabaseSync(path);
    for (const statement of [
      "UPDATE log_entry SET line = '{}'",
      "UPDATE log_entry SET id = 'other' WHERE arrival = 1",
      "UPDATE log_entry SET request = NULL",
      "UPDATE log_entry SET arrival = arrival + 10",
      "UPDATE log_entry SET leaf_index = NULL WHERE arrival = 1",
      "UPDATE log_entry SET leaf_index = 5 WHERE arrival = 1",
      "UPDATE log_entry SET leaf_index = 1 WHERE arrival = 1",
      "UPDATE log_entry SET leaf_index = 0 WHERE arrival = 1",
      "UPDATE log_entry SET leaf_index = 2 WHERE arrival = 2",
      "INSERT INTO log_entry (id, line, leaf_index) VALUES ('x', '{}', 1)",
      "UPDATE log_text SET text = 'other'",
      "UPDATE log_node SET hash = x'00'",
      "UPDATE checkpoint SET note = 'other'",
      "DELETE FROM log_entry",
      "DELETE FROM log_entry WHERE leaf_index IS NULL",
      "DELETE FROM log_node",
      "DELETE FROM checkpoint",
    ])
      assert.throws(() => other.exec(statement), /append-only|never changed|index|erased/, statement);
    other.exec("UPDATE log_entry SET leaf_index = 1 WHERE arrival = 2; DELETE FROM log_text");
    other.close();
  });

  inFile("creates files that only their account can read", async (path) => {
    const store = openSqlite({ path });
    await store.commit({ writes: [], entries: [anEntry()] });
    for (const file of [path, `${path}-wal`, `${path}-shm`])
      assert.equal(statSync(file).mode & 0o777, 0o600, file);
    await store.close();
  });

  inFile("an error of one change names the path and the SQLite error", async (path) => {
    const store = openSqlite({ path });
    const put = () =>
      store.commit({
        writes: [{ put: "approver", record: anApprover({ email: "ada@example.com" }), ifVersion: absent }],
        entries: [anEntry()],
      });
    await put();
    await assert.rejects(put(), (error: Error) => {
      assert.match(error.message, /countersign\.db: UNIQUE constraint failed: approver\.email/);
      return error.cause instanceof Error;
    });
    await store.close();
    assert.throws(() => store.read("agent", "nobody"), /countersign\.db: the store is closed/);
  });

  inFile("deletes the inbox rows of ended requests", async (path) => {
    const store = openSqlite({ path });
    for (let n = 0; n < 5; n += 1) {
      const record = aRequest({ candidates: ["apr_1", "apr_2"] });
      const over = { ...record, status: { state: "cancelled", endedAt: testNow } } as const;
      await store.commit({ writes: [{ put: "request", record, ifVersion: absent }], entries: [anEntry()] });
      if (n > 0)
        await store.commit({
          writes: [{ put: "request", record: over, ifVersion: 1 }],
          entries: [anEntry()],
        });
    }
    await store.close();
    const other = new DatabaseSync(path);
    assert.equal(other.prepare("SELECT count(*) AS rows FROM waiting").get()?.rows, 2);
    other.close();
  });

  inFile(
    "reports a write of another handle once, within 250 ms, until the last watcher stops",
    async (path) => {
      mock.timers.enable({ apis: ["setInterval"] });
      const [store, other] = [openSqlite({ path }), openSqlite({ path })];
      try {
        const write = () => other.commit({ writes: [], entries: [anEntry()] });
        const [first, second]: [ChangeEvent[], ChangeEvent[]] = [[], []];
        const counts = () => [first.length, second.length];
        await write();
        const stopFirst = store.watch((event) => first.push(event));
        const stopSecond = store.watch((event) => second.push(event));
        mock.timers.tick(1_000);
        assert.deepEqual(counts(), [0, 0], "written before the first watch");
        await write();
        mock.timers.tick(250);
        assert.deepEqual(counts(), [1, 1]);
        mock.timers.tick(1_000);
        await store.commit({ writes: [], entries: [anEntry()] });
        mock.timers.tick(1_000);
        assert.deepEqual(counts(), [1, 1], "the other handle wrote nothing more");
        stopFirst();
        await write();
        mock.timers.tick(250);
        assert.deepEqual(counts(), [1, 2]);
        stopSecond();
        await write();
        mock.timers.tick(250);
        store.watch((event) => first.push(event));
        mock.timers.tick(250);
        await store.close();
        await write();
        mock.timers.tick(1_000);
        assert.deepEqual(counts(), [1, 2]);
        assert.deepEqual([...first, ...second], Array(3).fill(undefined));
      } finally {
        mock.timers.reset();
        await Promise.all([store.close(), other.close()]);
      }
    },
  );
});
