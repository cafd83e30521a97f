/** Files with a truncated or changed write-ahead log, or with torn pages. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { readCommitEnds } from "@countersign/testing/process/wal";
import { aWholeChange, partsOf } from "../contract/fixture.ts";
import { findCorruption } from "./integrity.ts";
import { openSqlite } from "./sqlite.ts";

const long = process.env.COUNTERSIGN_LONG === "1";
const frameBytes = 24 + 4_096;

async function inFolder(check: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-damage-"));
  try {
    await check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("SQLite corruption", () => {
  test("recovers the state before the last commit for any cut or changed byte of the WAL (T21)", () =>
    inFolder(async (folder) => {
      const path = join(folder, "countersign.db");
      const store = openSqlite({ path });
      for (const name of ["first", "second", "last"]) await store.commit(aWholeChange(name));
      const wal = readFileSync(`${path}-wal`);
      const [before = 0, end = 0] = readCommitEnds(path).slice(-2);
      assert.equal(end, wal.length);
      // The whole last frame, and the start of each frame of the last commit.
      const offsets: number[] = [];
      for (let at = end - frameBytes; at < end; at += long ? 1 : 151) offsets.push(at);
      for (let frame = before; frame < end; frame += frameBytes)
        for (const near of long ? [0, 1, 8, 16, 23, 24, 25, 2_000, 4_119] : [0, 1, 24, 4_119])
          offsets.push(frame + near);
      const copy = join(folder, "copy.db");
      const checkRecovery = async (bytes: Uint8Array, expected: readonly string[], why: string) => {
        copyFileSync(path, copy);
        writeFileSync(`${copy}-wal`, bytes);
        const recovered = openSqlite({ path: copy });
        const found = await Promise.all(["first", "second", "last"].map((name) => partsOf(recovered, name)));
        assert.deepEqual(found, expected, why);
        await recovered.close();
        for (const file of [copy, `${copy}-wal`, `${copy}-shm`]) rmSync(file, { force: true });
      };
      await checkRecovery(wal, ["all", "all", "all"], "unchanged");
      for (const at of offsets) {
        await checkRecovery(wal.subarray(0, at), ["all", "all", "nothing"], `cut at ${at}`);
        const changed = Buffer.from(wal);
        changed[at] = changed[at]! ^ (1 << (at % 8));
        await checkRecovery(changed, ["all", "all", "nothing"], `changed at ${at}`);
      }
      await store.close();
    }));

  test("findCorruption detects a torn or overwritten page, unless it held no data", () =>
    inFolder(async (folder) => {
      const path = join(folder, "countersign.db");
      const store = openSqlite({ path });
      for (let n = 0; n < 40; n += 1) await store.commit(aWholeChange(`n${n}`));
      await store.log.sequence(1_000);
      await store.close();
      assert.equal(findCorruption(path), undefined);
      const whole = readFileSync(path);
      const right = contentOf(path);
      const copy = join(folder, "copy.db");
      let found = 0;
      for (let page = 0; page < whole.length; page += 4_096)
        for (const damage of ["torn", "overwritten"]) {
          const bytes = Buffer.from(whole);
          if (damage === "torn") bytes.fill(0, page + 2_048, page + 4_096);
          else bytes.fill(0xa5, page, page + 4_096);
          writeFileSync(copy, bytes);
          if (isDamaged(copy)) found += 1;
          else assert.equal(contentOf(copy), right, `page at ${page}, ${damage}`);
          try {
            await openSqlite({ path: copy }).close();
          } catch (error) {
            assert.match((error as Error).message, /copy\.db: (the database file is corrupt|not a SQLite)/);
          }
          for (const file of [copy, `${copy}-wal`, `${copy}-shm`]) rmSync(file, { force: true });
        }
      assert.ok(found > whole.length / 4_096, `${found} of ${whole.length / 2_048} were found`);
    }));
});

function isDamaged(path: string): boolean {
  try {
    return findCorruption(path) !== undefined;
  } catch {
    return true;
  }
}

/** Every row of every table. */
function contentOf(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  const rows = tables.map(({ name }) =>
    database
      .prepare(`SELECT * FROM "${name}"`)
      .all()
      .map((row) => Object.values(row).map(String)),
  );
  database.close();
  return JSON.stringify(rows);
}
