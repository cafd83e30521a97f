import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import postgres from "postgres";
import { aMessage, anEntry, aRequest } from "../contract/fixture.ts";
import { type OpenedStore, storeContract } from "../contract.ts";
import { absent } from "../store.ts";
import { lockKey } from "./batch.ts";
import { openPostgres } from "./postgres.ts";

let server: PostgresServer;
before(async () => {
  server = await startPostgres({ fsync: "off" });
});
after(() => server.discard());

let schemas = 0;
storeContract("PostgreSQL", async (): Promise<OpenedStore> => {
  schemas += 1;
  const schema = `test_${schemas}`;
  const open = () => openPostgres({ url: server.url, schema, create: true, maxConnections: 4 });
  const handles = [await open()];
  return {
    store: handles[0]!,
    reopen: async () => {
      const handle = await open();
      handles.push(handle);
      return handle;
    },
    discard: async () => {
      for (const handle of handles) await handle.close();
    },
  };
});

describe("openPostgres", () => {
  test("counts a broken connection as lost and reopens it; a closed one is not counted", async () => {
    const events: string[] = [];
    const store = await openPostgres({
      url: server.url,
      schema: "test_connections",
      create: true,
      maxConnections: 1,
      onConnection: (event) => events.push(event),
    });
    assert.deepEqual([...events].sort(), ["opened", "opened"], "one listens, one runs statements");
    const sql = postgres(server.url, { max: 1, onnotice: () => {} });
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'`;
    await sql.end();
    while (events.length < 6) {
      await Promise.resolve(store.read("agent", "x")).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(events.filter((event) => event === "lost").length, 2);
    assert.equal(events.filter((event) => event === "opened").length, 4);
    await store.close();
    assert.equal(events.length, 6);
  });

  test("skips a record whose name a batch has locked when claiming, without waiting", async () => {
    const schema = "claimed";
    const store = await openPostgres({ url: server.url, schema, create: true });
    const sql = postgres(server.url, { max: 1 });
    try {
      const [locked, free] = [aMessage({ id: "msg_locked_é" }), aMessage()];
      for (const record of [locked, free])
        await store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] });
      const key = String(lockKey(schema, `message ${locked.id}`));
      const ids = async () => (await store.claim("message", { limit: 9 })).map(({ record }) => record.id);
      await sql.begin(async (held) => {
        await held`SELECT pg_advisory_xact_lock_shared(${key})`;
        assert.deepEqual(await ids(), [free.id]);
        assert.deepEqual(await store.claim("message", { ids: [locked.id] }), []);
      });
      assert.deepEqual(await ids(), [locked.id]);
    } finally {
      await sql.end();
      await store.close();
    }
  });

  test("rejects a database without the required guarantees at startup, with a remedy", async () => {
    const sql = postgres(server.url, { max: 1, onnotice: () => {} });
    const url = server.url.replace(/postgres$/, "unfit");
    const open = () => openPostgres({ url, create: true });
    const refused = async (why: RegExp, wrong: string, right: string) => {
      await sql.unsafe(wrong);
      await assert.rejects(open(), why);
      await sql.unsafe(right);
    };
    try {
      await sql.unsafe("CREATE DATABASE unfit TEMPLATE template0");
      await (await open()).close();
      await refused(
        /unfit: synchronous_commit is off.*turn it on/,
        "ALTER DATABASE unfit SET synchronous_commit = off",
        "ALTER DATABASE unfit RESET synchronous_commit",
      );
      const inside = postgres(url, { max: 1 });
      // Simulates a database that implements these functions without effect.
      await inside.unsafe(`CREATE SCHEMA pretends;
      CREATE FUNCTION pretends.pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'`);
      await refused(
        /unfit: advisory locks have no effect/,
        "ALTER DATABASE unfit SET search_path = pretends, pg_catalog",
        "ALTER DATABASE unfit RESET search_path",
      );
      await inside.unsafe("ALTER SEQUENCE countersign.log_entry_arrival_seq CACHE 100");
      await assert.rejects(
        open(),
        /unfit: sequence numbers are allocated in blocks.*log_entry_arrival_seq to 1/,
      );
      await inside.unsafe("ALTER SEQUENCE countersign.log_entry_arrival_seq CACHE 1");
      await inside.end();
      await (await open()).close();
    } finally {
      await sql.end();
    }
  });

  test("enforces maxPending under another default isolation level (T29)", async () => {
    const sql = postgres(server.url, { max: 1, onnotice: () => {} });
    await sql.unsafe("CREATE DATABASE isolated TEMPLATE template0");
    await sql.unsafe("ALTER DATABASE isolated SET default_transaction_isolation = 'repeatable read'");
    await sql.end();
    const url = server.url.replace(/postgres$/, "isolated");
    const stores = [await openPostgres({ url, create: true }), await openPostgres({ url })];
    try {
      const expiresAt = stores[0]!.now() + 60_000;
      const asks = Array.from({ length: 30 }, (_, n) =>
        stores[n % 2]!.commit({
          writes: [{ put: "request", record: aRequest({ expiresAt }), ifVersion: absent }],
          maxPending: { agent: "agent_1", limit: 4 },
          entries: [anEntry()],
        }),
      );
      const outcomes = await Promise.all(asks);
      assert.equal(outcomes.filter((outcome) => outcome === "committed").length, 4);
    } finally {
      await Promise.all(stores.map((store) => store.close()));
    }
  });
});
