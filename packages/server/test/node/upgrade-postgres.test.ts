/** The tables of the first schema on PostgreSQL, filled with the same data as the SQLite fixture, are upgraded at start. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import postgres from "postgres";
import { schemaVersion } from "../../src/store/migration/migrations.ts";
import { openPostgres } from "../../src/store/postgres/postgres.ts";

const fixture = new URL("../../src/store/migration/fixture/", import.meta.url);

let database: PostgresServer;
before(async () => {
  database = await startPostgres();
});
after(() => database.discard());

/** Columns and indexes of a schema, without its name. */
async function describeSchema(sql: postgres.Sql, schema: string): Promise<readonly string[]> {
  const columns = await sql`SELECT table_name, column_name, data_type, is_nullable
    FROM information_schema.columns WHERE table_schema = ${schema} ORDER BY 1, 2`;
  const indexes =
    await sql`SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = ${schema} ORDER BY 1`;
  return [...columns, ...indexes].map((row) => JSON.stringify(row).replaceAll(`${schema}.`, ""));
}

describe("upgrade from schema 1 (PostgreSQL)", () => {
  test("creates the tables of a new database, rewrites records, and rejects a newer schema", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "countersign-upgrade-")), "schema-1.db");
    writeFileSync(file, gunzipSync(readFileSync(new URL("schema-1.db.gz", fixture))));
    const source = new DatabaseSync(file, { readOnly: true });
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    await sql.unsafe("CREATE SCHEMA countersign");
    await sql.unsafe(readFileSync(new URL("schema-1.postgres.sql", fixture), "utf8"));
    await sql.unsafe(`CREATE TABLE countersign.migration (
      number integer PRIMARY KEY, says text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
      INSERT INTO countersign.migration (number, says) VALUES (1, 'the first tables')`);
    const kinds = ["agent", "api", "approver", "device", "approval", "token", "latch", "published_type"];
    for (const table of [...kinds, "ask_key", "session", "registration_grant", "waiting"])
      for (const row of source.prepare(`SELECT * FROM "${table}"`).all())
        await sql`INSERT INTO countersign.${sql(table)} ${sql(row as Record<string, string>)}`;

    const store = await openPostgres({ url: database.url, create: false });
    const requests = await store.listRequests({ limit: 10 });
    assert.deepEqual(requests.map(({ status }) => status.state).sort(), [
      "approved",
      "denied",
      "pending",
      "redeemed",
    ]);
    const [denial] = await store.list("denial");
    assert.equal(
      denial!.record.id,
      requests.find(({ status }) => status.state === "denied")!.parts[0]!.denyKey,
    );
    assert.deepEqual(denial!.record.fields, { order: "A-2" });
    const pending = requests.find(({ status }) => status.state === "pending")!;
    assert.equal((await store.read("dedupe_key", pending.dedupeKey))?.record.requestId, pending.id);
    assert.deepEqual(await store.listPendingFor(pending.candidates[0]!), [pending]);
    await store.close();
    await (await openPostgres({ url: database.url, create: false })).close();

    const fresh = await openPostgres({ url: database.url, schema: "fresh", create: true });
    await fresh.close();
    assert.deepEqual(await describeSchema(sql, "countersign"), await describeSchema(sql, "fresh"));

    await sql`INSERT INTO countersign.migration (number, says) VALUES (${schemaVersion + 1}, 'later')`;
    await assert.rejects(openPostgres({ url: database.url, create: false }), /newer version/);
    await sql.end();
  });
});
