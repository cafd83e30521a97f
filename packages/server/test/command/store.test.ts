/**
 * `countersign store copy` and `store migrate`, as an operator has them: a deployment that has worked on a file moves into
 * PostgreSQL with a log that still verifies, once, whole, or not at all.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { createRandom, killProcess, startProcess } from "@countersign/testing/process/server-process";
import { createWorkload, enrolByLink, type WorkloadTarget } from "@countersign/testing/process/workload";
import { sampleConfig } from "@countersign/testing/server/deployment";
import { editConfig, editConfigFile, formatConfig } from "@countersign/testing/server/edit-config";
import { runCli } from "@countersign/testing/server/run-cli";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import postgres from "postgres";
import { anEntry } from "../../src/store/contract/fixture.ts";
import { openSqlite } from "../../src/store/sqlite/sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "countersign-store-"));
const at = (name: string) => join(folder, name);
const secretIn = (text: string) => /client_secret=(\S+)/.exec(text)?.[1] ?? "";
const checkpoints = at("checkpoints.txt");

let database: PostgresServer;
let issuer: string;
let harness: WorkloadTarget;
let workload: ReturnType<typeof createWorkload>;

/** With the deployment's file; `store` goes before what stands in it. */
async function countersign(words: string, environment: Record<string, string> = {}) {
  const kept = { ...process.env };
  Object.assign(process.env, environment);
  try {
    return await runCli([...words.split(" "), "--config", at("countersign.yaml")]);
  } finally {
    process.env = kept;
  }
}

async function done(words: string, environment?: Record<string, string>): Promise<string> {
  const { code, out, err } = await countersign(words, environment);
  assert.equal(code, 0, err);
  return out;
}

/** One more database on the server, by its URL. */
async function freshDatabase(name: string): Promise<string> {
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`CREATE DATABASE ${name} TEMPLATE template0`);
  await sql.end();
  return database.url.replace(/postgres$/, name);
}

async function serve(environment: Record<string, string> = {}): Promise<void> {
  const child = await startProcess(at("countersign.yaml"), environment);
  try {
    let told = 0;
    await workload.runWorker(`worker-${Date.now()}`, () => ++told > 2);
    // Every entry of the stories is under a checkpoint that has been published.
    const size = async () => (await (await fetch(`${issuer}/log/checkpoint`)).text()).split("\n")[1];
    for (let before = ""; ; ) {
      const now = (await size()) ?? "";
      if (now !== "" && now === before) break;
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 1_200));
    }
  } finally {
    await killProcess(child);
  }
}

before(async () => {
  database = await startPostgres();
  const port = await findFreePort();
  issuer = `http://localhost:${port}`;
  const config = editConfig(sampleConfig, {
    issuer,
    listen: { port },
    log: { checkpoint_file: checkpoints },
    limits: { poll_interval: 1 },
  });
  writeFileSync(at("countersign.yaml"), formatConfig(config));
  await done("init");
  const agent = { id: "agent-1", secret: secretIn(await done("agent add agent-1 --type refund")) };
  const api = { id: "refunds-api", secret: secretIn(await done("api add refunds-api --for refunds")) };
  const link = (await done("approver invite ada@example.com")).trim().split("\n").at(-1) ?? "";
  const child = await startProcess(at("countersign.yaml"));
  const cookie = await enrolByLink(new URL(link), issuer);
  await killProcess(child);
  harness = { issuer, server: () => issuer, agent, api, cookie, stopped: new AbortController().signal };
  workload = createWorkload(harness, createRandom(1));
  await serve();
});
after(async () => {
  await database?.discard();
  rmSync(folder, { recursive: true });
});

describe("countersign store", () => {
  test("copies a deployment to PostgreSQL with a valid log, and continues there", async () => {
    const to = await freshDatabase("moved");
    const before = await done("log show --json --limit 100000");
    copyFileSync(checkpoints, at("kept-elsewhere.txt"));
    const said = await done("store copy", { COUNTERSIGN_COPY_TO: to });
    assert.match(said, /^copied \d+ records and \d+ log entries; the log verifies there\n/);
    const there = { COUNTERSIGN_STORE: to };
    assert.equal(await done("log show --json --limit 100000", there), before);
    assert.match(await done(`log verify --checkpoint ${at("kept-elsewhere.txt")}`, there), /verifies/);
    assert.match(await done("store migrate", there), /^nothing to do$/m);
    await serve(there);
    const entries = (await done("log show --json --limit 100000", there)).trim().split("\n");
    assert.ok(entries.length > before.trim().split("\n").length);
    workload.checkEntries(entries.map((line) => JSON.parse(line)));
    assert.match(await done(`log verify --checkpoint ${at("kept-elsewhere.txt")}`, there), /verifies/);

    const again = await countersign(`store copy --to ${to}`);
    assert.deepEqual([again.code, again.out], [1, ""]);
    assert.match(
      again.err,
      /nothing was copied: .*moved is not empty: the target of a copy must be an empty store/,
    );
    assert.equal(
      (await done("log show --json --limit 100000", there)).trim().split("\n").length,
      entries.length,
    );
  });

  test("leaves nothing behind after an interrupted copy, reports it, and can copy again", async () => {
    const kept = readFileSync(at("countersign.yaml"), "utf8");
    const file = at("large.db");
    copyFileSync(at("countersign.db"), file);
    const store = openSqlite({ path: file });
    const entries = 12_000;
    await Promise.all(
      Array.from({ length: entries }, () => store.commit({ writes: [], entries: [anEntry()] })),
    );
    await store.close();
    const to = await freshDatabase("broken");
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    try {
      editConfigFile(at("countersign.yaml"), { store: file });
      const copying = countersign(`store copy --to ${to}`);
      let ended = 0;
      while (ended === 0) {
        const rows = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = 'broken' AND query LIKE 'INSERT INTO countersign."log_entry"%'`;
        ended = rows.length;
      }
      const { code, out, err } = await copying;
      assert.deepEqual([code, out], [1, ""]);
      assert.match(err, /nothing was copied: .*(the connection was lost|the database is shutting down)/);
      const there = { COUNTERSIGN_STORE: to };
      const started = await countersign("start", there);
      assert.equal(started.code, 1);
      assert.match(started.err, /there is no database/);
      assert.match(await done(`store copy --to ${to}`), /and 1[0-9]{4} log entries/);
      assert.equal((await countersign("agent list", there)).code, 0);
    } finally {
      writeFileSync(at("countersign.yaml"), kept);
      await sql.end();
    }
  });

  test("rejects an impossible copy or migration with a remedy", async () => {
    const empty = await freshDatabase("empty");
    const nowhere = await countersign("store copy");
    assert.deepEqual([nowhere.code, /--to takes a URL/.test(nowhere.err)], [2, true]);
    const already = await countersign(`store copy --to ${empty}`, { COUNTERSIGN_STORE: empty });
    assert.deepEqual([already.code, /already PostgreSQL/.test(already.err)], [1, true]);
    assert.match(await done("store migrate"), /nothing to do: the database has the schema of this version/);
    const missing = await countersign("store migrate", { COUNTERSIGN_STORE: empty });
    assert.deepEqual([missing.code, /there is no database/.test(missing.err)], [1, true]);
    await done(`store copy --to ${empty}`);
    const sql = postgres(empty, { max: 1, onnotice: () => {} });
    await sql`INSERT INTO countersign.migration (number, says) VALUES (99, 'what the next version needs')`;
    await sql.end();
    const newer = await countersign("store migrate", { COUNTERSIGN_STORE: empty });
    assert.deepEqual([newer.code, /written by a newer version of countersign/.test(newer.err)], [1, true]);
    const older = await countersign("start", { COUNTERSIGN_STORE: empty });
    assert.deepEqual([older.code, /newer version .*start the newer version/.test(older.err)], [1, true]);
  });
});
