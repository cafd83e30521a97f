import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import postgres from "postgres";
import type { ChangeEvent } from "../store.ts";
import { openPool } from "./pool.ts";
import { openPostgres } from "./postgres.ts";
import { openWatchers } from "./watch.ts";

let server: PostgresServer;
before(async () => {
  server = await startPostgres({ fsync: "off" });
});
after(() => server.discard());

describe("openWatchers", () => {
  test("polls for a write whose notification was lost, and reports it once", async () => {
    await (await openPostgres({ url: server.url, create: true })).close();
    const pool = openPool({ url: server.url, maxConnections: 2 });
    const sql = postgres(server.url, { max: 1 });
    const watchers = openWatchers(pool, "countersign", "a channel without notifications", 20);
    try {
      await watchers.open();
      const received: ChangeEvent[] = [];
      let event = () => {};
      const next = () =>
        new Promise<void>((resolve) => {
          event = resolve;
        });
      const first = next();
      watchers.watch((one) => {
        received.push(one);
        event();
      });
      // Listening starts with an unspecific event, because earlier writes are unknown.
      await first;
      for (const id of ["log_1", "log_2"]) {
        const noticed = next();
        await sql`INSERT INTO countersign.log_entry (id, line) VALUES (${id}, '{}')`;
        await noticed;
        // Further polls find nothing new.
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.deepEqual(received, [undefined, undefined, undefined]);
    } finally {
      watchers.close();
      await Promise.all([pool.close(), sql.end()]);
    }
  });
});
