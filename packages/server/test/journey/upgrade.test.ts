/** A database that the first schema wrote (store/migration/fixture/README.md) is upgraded at start and works on. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { cibaGrantType } from "@countersign/protocol";
import { issuer, readHiddenFields, sampleConfig, toBasicAuth } from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { exportLog } from "../../src/audit/export.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { parseConfig } from "../../src/config/config.ts";
import { createServer, type Server } from "../../src/server.ts";
import { migrations, schemaVersion } from "../../src/store/migration/migrations.ts";
import { openSqlite } from "../../src/store/sqlite/sqlite.ts";

const fixture = new URL("../../src/store/migration/fixture/", import.meta.url);
const written = JSON.parse(readFileSync(new URL("schema-1.json", fixture), "utf8"));

function unpack(): string {
  const file = join(mkdtempSync(join(tmpdir(), "countersign-upgrade-")), "countersign.db");
  writeFileSync(file, gunzipSync(readFileSync(new URL("schema-1.db.gz", fixture))), { mode: 0o600 });
  return file;
}

/** Table, index and trigger definitions by name, whitespace and quotes aside. */
function schemaOf(file: string): Map<string, string> {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").all() as {
    name: string;
    sql: string;
  }[];
  database.close();
  return new Map(rows.map(({ name, sql }) => [name, sql.replace(/["\s]+/g, " ").trim()]));
}

describe("upgrade from schema 1 (SQLite)", () => {
  test("numbers the migrations consecutively", () => {
    assert.deepEqual(
      migrations.map(({ number }) => number),
      migrations.map((_, at) => at + 2),
    );
  });

  test("gives the file the schema of a new one, and keeps a private backup of the old file", async () => {
    const file = unpack();
    const messages: string[] = [];
    await openSqlite({ path: file, onMigrated: (message) => messages.push(message) }).close();
    const copy = `${file}.schema-1`;
    assert.deepEqual(messages, [
      `database upgraded from schema 1 to ${schemaVersion}; the file before the upgrade is ${copy}`,
    ]);
    assert.equal(statSync(copy).mode & 0o777, 0o600);
    assert.ok(schemaOf(copy).has("approval"));
    const fresh = `${file}.fresh`;
    await openSqlite({ path: fresh }).close();
    assert.deepEqual([...schemaOf(file)].sort(), [...schemaOf(fresh)].sort());
  });

  test("outbox states are renamed, in the column and in the record", async (t) => {
    const file = unpack();
    const older = new DatabaseSync(file);
    const insert = (table: string, id: string, state: string) =>
      older
        .prepare(`INSERT INTO ${table} (id, version, due_at, state, body) VALUES (?, 1, 1, ?, ?)`)
        .run(id, state, JSON.stringify({ id, approval: "req_1", state, attempts: 0, dueAt: 1 }));
    for (const state of ["waiting", "sent", "given_up"]) insert("message", `msg_${state}`, state);
    for (const state of ["waiting", "silent", "given_up"]) insert("callback", `req_${state}`, state);
    older.close();
    const store = openSqlite({ path: file });
    t.after(() => store.close());
    const states = async (kind: "message" | "callback") =>
      (await store.list(kind)).map(({ record }) => record.state);
    assert.deepEqual(await states("message"), ["abandoned", "sent", "queued"]);
    assert.deepEqual(await states("callback"), ["abandoned", "idle", "queued"]);
    assert.ok((await store.list("message")).every(({ record }) => record.kind === "requested"));
    const ids = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);
    assert.deepEqual(ids(await store.listAbandonedMessages(9)), ["msg_given_up"]);
    assert.deepEqual(ids(await store.listAbandonedCallbacks(9)), ["req_given_up"]);
    assert.deepEqual(
      (await store.claim("callback", { limit: 9 })).map(({ record }) => record.id),
      ["req_waiting"],
    );
  });

  test("changes nothing and prints nothing at the second start", async () => {
    const file = unpack();
    await openSqlite({ path: file }).close();
    const before = readFileSync(file);
    await openSqlite({ path: file, onMigrated: () => assert.fail("migrated twice") }).close();
    assert.deepEqual(readFileSync(file), before);
  });

  test("leaves the file unchanged if it fails", () => {
    const file = unpack();
    const broken = new DatabaseSync(file);
    broken.exec("UPDATE approval SET body = '{' WHERE id = (SELECT max(id) FROM approval)");
    broken.close();
    assert.throws(() => openSqlite({ path: file }), /JSON/);
    const after = new DatabaseSync(file);
    assert.equal(after.prepare("PRAGMA user_version").get()?.user_version, 1);
    assert.ok(after.prepare("SELECT count(*) AS n FROM approval").get());
    after.close();
  });

  test("keeps requests, denials, idempotency keys and the log", async () => {
    const file = unpack();
    const server = await start(file);
    try {
      const { store } = server;
      for (const [kind, name] of Object.entries({ request: "approval", denial: "latch", token: "token" })) {
        const count = (await store.list(kind as "request")).length;
        assert.equal(count, written.counts[name], kind);
      }
      // What was denied stays denied, what was asked is joined, what was approved is redeemed once.
      assert.equal((await ask(server, "A-2")).body.error, "access_denied");
      const again = await ask(server, "A-3", { "idempotency-key": "key-1" });
      assert.deepEqual(
        [again.status, again.body.joined, again.body.auth_req_id],
        [200, true, written.pending],
      );
      assert.equal((await poll(server, written.redeemed)).body.error, "invalid_grant");
      assert.equal((await poll(server, written.denied)).body.error, "access_denied");
      const granted = await poll(server, written.approved);
      assert.equal(granted.status, 200, JSON.stringify(granted.body));

      assert.equal((await poll(server, written.pending)).body.error, "authorization_pending");
      const id = written.pending.split(".")[0];
      const page = await (
        await server.fetch(new Request(`${issuer}/requests/${id}`, { headers: { cookie: written.cookie } }))
      ).text();
      const decided = await server.fetch(
        new Request(`${issuer}/requests/${id}/decision`, {
          method: "POST",
          headers: {
            cookie: written.cookie,
            origin: issuer,
            "content-type": "application/x-www-form-urlencoded",
          },
          body: new URLSearchParams({ ...readHiddenFields(page), verdict: "approve" }).toString(),
        }),
      );
      assert.equal(decided.status, 303, await decided.text());
      assert.equal((await poll(server, written.pending)).status, 200);
      await server.runJobs();
      const key = server.keyring.logKey;
      const verified = await verifyLog(exportLog(store.log, key), { key });
      assert.ok("ok" in verified, JSON.stringify(verified));
    } finally {
      await server.close();
    }
    assert.ok(existsSync(`${file}.schema-1`));
  });
});

async function start(file: string): Promise<Server> {
  const read = parseConfig(
    formatConfig(editConfig(sampleConfig, { store: file })),
    join(file, "../countersign.yaml"),
  );
  assert.ok("config" in read, JSON.stringify(read));
  return await createServer({
    config: read.config,
    rootKey: new Uint8Array(Buffer.from(written.rootKey, "base64url")),
    onFault: (fault) => assert.fail(String(fault)),
    clock: () => written.now + 1_000,
    jobIntervalMs: 3_600_000,
    minFormAgeMs: 0,
  });
}

async function send(server: Server, path: string, form: Record<string, string>, headers = {}) {
  const response = await server.fetch(
    new Request(`${issuer}${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...toBasicAuth(written.agent),
        ...headers,
      },
      body: new URLSearchParams(form).toString(),
    }),
  );
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function ask(server: Server, order: string, headers = {}) {
  const detail = { type: "refund", order, amount: "10000.00", currency: "USD" };
  return send(
    server,
    "/bc-authorize",
    {
      scope: "openid",
      login_hint: "ada@example.com",
      requested_expiry: "600",
      authorization_details: JSON.stringify([detail]),
    },
    headers,
  );
}

function poll(server: Server, authReqId: string) {
  return send(server, "/oauth/token", { grant_type: cibaGrantType, auth_req_id: authReqId });
}
