/** A whole server on PostgreSQL, by command and over HTTP, as an operator and an agent meet it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fuzzRoutes } from "@countersign/testing/fuzz/fuzz-requests";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import {
  type Deployment,
  deploy,
  refund,
  sampleConfig,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { runCli } from "@countersign/testing/server/run-cli";
import postgres from "postgres";
import { openMetrics } from "../../src/metrics/metrics.ts";
import { anEntry } from "../../src/store/contract/fixture.ts";

let database: PostgresServer;
before(async () => {
  database = await startPostgres();
});
after(() => database.discard());

const writeConfig = (file: string, store: string) =>
  writeFileSync(file, formatConfig(editConfig(sampleConfig, { store })));

describe("server on PostgreSQL", () => {
  test("approves, redeems once, spends once, and signs a checkpoint of the log", async () => {
    const deployment: Deployment = await deploy({ config: { store: database.url } });
    try {
      const ada = await deployment.enrol("ada@example.com");
      const asked = await deployment.ask({
        authorization_details: JSON.stringify([{ ...refund, type: "signed-refund" }]),
      });
      assert.equal(asked.status, 200, JSON.stringify(asked.body));
      const { auth_req_id } = asked.body;
      assert.equal((await deployment.poll(auth_req_id)).body.error, "authorization_pending");
      assert.equal((await ada.decide(toRequestId(auth_req_id), "approve")).status, 303);
      const answers = await Promise.all(Array.from({ length: 20 }, () => deployment.poll(auth_req_id)));
      const [granted, ...more] = answers.filter(({ status }) => status === 200);
      assert.ok(granted && more.length === 0);
      const spent = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          deployment.spend({
            operation: "reserve",
            token: granted.body.access_token,
            spend_id: `spend-of-this-token-${String(n).padStart(4, "0")}`,
            act_digest: claimsOf(granted.body.access_token).act_digest ?? "",
          }),
        ),
      );
      assert.equal(spent.filter(({ status }) => status === 200).length, 1);
      await deployment.restart();
      assert.equal((await deployment.poll(auth_req_id)).body.error, "invalid_grant");
      await deployment.server.runJobs();
      const { log } = deployment.server.store;
      const size = await log.size();
      assert.ok(size > 5);
      assert.match((await log.newestCheckpoint())?.note ?? "", new RegExp(`\n${size}\n`));
      assert.deepEqual(deployment.faults, []);
    } finally {
      await deployment.close();
    }
  });

  test("requires tables created by init, once, and rejects a password in the file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-pg-command-"));
    const from = process.cwd();
    process.chdir(folder);
    try {
      const file = join(folder, "countersign.yaml");
      const other = database.url.replace(/postgres$/, "template1");
      writeConfig(file, other);
      const early = await countersign("agent", "list");
      assert.equal(early.code, 1, "nothing is made up on the way");
      assert.match(early.err, /there is no database|cannot be read/);
      const made = await countersign("init");
      assert.equal(made.code, 0, made.err);
      assert.match(made.out, /the tables in PostgreSQL/);
      assert.equal((await countersign("init")).code, 1);
      assert.equal((await countersign("agent", "list")).code, 0);
      writeConfig(file, "postgres://me:secret@db.example/countersign");
      const refused = await countersign("check");
      assert.equal(refused.code, 1);
      assert.match(refused.err, /the URL contains a password; remove it and set PGPASSWORD/);
      assert.doesNotMatch(refused.err, /secret@/);
      writeConfig(file, "postgres://me@127.0.0.1:1/countersign");
      const unreachable = await countersign("agent", "list");
      assert.deepEqual([unreachable.code, /connection refused/.test(unreachable.err)], [1, true]);
    } finally {
      process.chdir(from);
      rmSync(folder, { recursive: true });
    }
  });

  test("is alive but not ready without its database, recovers, and counts lost connections", async () => {
    const fresh = await startPostgres();
    const metrics = openMetrics("0.1.0");
    const deployment = await deploy({ config: { store: fresh.url }, metrics });
    const status = async (path: string) => (await deployment.request(path)).status;
    try {
      assert.equal(await status("/readyz"), 200);
      await fresh.stop("immediate");
      const away = await deployment.request("/readyz");
      assert.deepEqual([away.status, away.headers.get("retry-after")], [503, "2"]);
      assert.equal(await status("/livez"), 200);
      const { text } = await metrics.scrape();
      assert.match(text, /^countersign_store_connections_total\{event="lost"\} [1-9]/m);
      assert.match(text, /^countersign_store_connections_total\{event="failed"\} [1-9]/m);
      assert.match(text, /^countersign_store_up 0$/m);
      assert.doesNotMatch(
        text,
        /^countersign_(requests_waiting|oldest_waiting|log_unsigned)/m,
        "nothing that was true once",
      );
      await fresh.start();
      assert.equal(await status("/readyz"), 200);
      const { text: again } = await metrics.scrape();
      assert.match(again, /^countersign_store_up 1\n[\s\S]*^countersign_oldest_pending_request_seconds 0$/m);
    } finally {
      await deployment.close();
      await fresh.discard();
    }
  });

  test("rejects a NUL and other values that cannot be stored, without a fault (T53)", async () => {
    const fresh = await startPostgres();
    const deployment = await deploy({ config: { store: fresh.url, registration: { enabled: true } } });
    try {
      const wrong: string[] = [];
      await fuzzRoutes(deployment, (what, { status }) => {
        if (status >= 500) wrong.push(`${what}: ${status}`);
      });
      const hint = JSON.stringify({ format: "opaque", id: "a\0b" });
      const asked = await deployment.ask({ login_hint: hint });
      assert.deepEqual([asked.status, asked.body.error], [400, "unknown_user_id"]);
      const details = JSON.stringify([{ ...refund, "a\0b": "\0" }]);
      const hidden = await deployment.ask({ authorization_details: details });
      assert.deepEqual([hidden.status, hidden.body.error], [400, "invalid_authorization_details"]);
      assert.deepEqual([wrong, deployment.faultOperations], [[], []]);
    } finally {
      await deployment.close();
      await fresh.discard();
    }
  });
});

describe("store copy", () => {
  test("copies a file into PostgreSQL once, with valid proofs of the log", async () => {
    const deployment = await deploy();
    const target = postgres(database.url, { max: 1, onnotice: () => {} });
    try {
      await target.unsafe("CREATE DATABASE moved TEMPLATE template0");
      await target.end();
      const to = database.url.replace(/postgres$/, "moved");
      const ada = await deployment.enrol("ada@example.com");
      const { auth_req_id: spent } = (await deployment.ask()).body;
      await ada.decide(toRequestId(spent), "approve");
      assert.equal((await deployment.poll(spent)).status, 200);
      const { auth_req_id: open } = (
        await deployment.ask({
          authorization_details: JSON.stringify([{ ...refund, order: "still-open" }]),
        })
      ).body;
      await deployment.server.runJobs();
      const { log } = deployment.server.store;
      const size = await log.size();
      const root = await log.root(size);
      const proof = await log.inclusion(2, size);
      const { copyToPostgres } = await import("../../src/store/postgres/copy.ts");
      const { openPostgres } = await import("../../src/store/postgres/postgres.ts");
      const file = deployment.server.store;
      const copied = await copyToPostgres(deployment.file, { url: to });
      assert.ok(copied.records > 5 && copied.entries === size);
      await assert.rejects(copyToPostgres(deployment.file, { url: to }), /is not empty/);
      const moved = await openPostgres({ url: to });
      try {
        assert.deepEqual(await moved.log.root(size), root);
        assert.deepEqual(await moved.log.inclusion(2, size), proof);
        assert.deepEqual(await moved.log.checkpoints(), await file.log.checkpoints());
        assert.deepEqual(await moved.log.entries(0, 1_000), await file.log.entries(0, 1_000));
        for (const id of [spent, open].map(toRequestId))
          assert.deepEqual(await moved.read("request", id), await file.read("request", id));
        const held = (await moved.read("request", toRequestId(open)))!;
        assert.deepEqual(
          (await moved.listPendingFor(held.record.candidates[0]!)).map(({ id }) => id),
          [toRequestId(open)],
        );
        const onward = await moved.commit({
          writes: [{ check: "request", id: held.record.id, ifVersion: held.version }],
          entries: [anEntry()],
        });
        assert.equal(onward, "committed");
        assert.equal(await moved.log.sequence(10), size + 1);
        assert.ok((await moved.log.consistency(size, size + 1)).length > 0);
      } finally {
        await moved.close();
      }
    } finally {
      await deployment.close();
    }
  });
});

function claimsOf(token: string): Record<string, string> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

const countersign = (...words: string[]) => runCli(words);
