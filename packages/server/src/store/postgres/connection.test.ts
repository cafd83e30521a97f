/** A connection to PostgreSQL that breaks after any number of received bytes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as later } from "node:timers/promises";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { openConnection } from "./connection.ts";

let database: PostgresServer;
before(async () => {
  database = await startPostgres({ fsync: "off" });
});
after(() => database.discard());

/** Starts a proxy that forwards this many bytes of the database's responses, then closes for good. */
async function cutAfter(bytes: number) {
  const { port } = new URL(database.url);
  let passed = 0;
  const proxy = createServer((client) => {
    const inner = connect(Number(port), "127.0.0.1");
    inner.on("data", (chunk) => {
      const room = bytes - passed;
      client.write(chunk.subarray(0, room));
      passed += chunk.length;
      if (passed <= bytes) return;
      proxy.close();
      client.destroy();
    });
    client.on("data", (chunk) => inner.write(chunk));
    for (const [one, other] of [
      [client, inner],
      [inner, client],
    ] as const)
      one.on("error", () => {}).on("close", () => other.destroy());
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  const url = database.url.replace(`:${port}`, `:${(proxy.address() as AddressInfo).port}`);
  return { url, passed: () => passed, close: () => void proxy.close() };
}

const odd = ["", "{}", 'a "quoted" \\ one, {with} all', "NULL", null, "Ünïcode"];
const numbers = [-2, 0, null, Number.MAX_SAFE_INTEGER, 3, 4];

/** Opens a connection and runs one statement with array parameters. */
async function queryThrough(url: string, onLost: () => void): Promise<readonly object[]> {
  const connection = await openConnection({ url, onLost });
  try {
    const sql = "SELECT a, b FROM unnest($1::text[], $2::bigint[]) AS row (a, b)";
    return [...(await connection.run(sql, odd, numbers))];
  } finally {
    await connection.destroy();
  }
}

describe("openConnection", () => {
  test("rejects pending statements once if the connection breaks after any number of bytes", async () => {
    const whole = await cutAfter(Number.POSITIVE_INFINITY);
    const rows = await queryThrough(whole.url, () => {});
    whole.close();
    assert.deepEqual(
      rows,
      odd.map((a, at) => ({ a, b: numbers[at] })),
    );
    const cuts = Array.from({ length: Math.floor(whole.passed() / 9) }, (_, at) => at * 9);
    const ends = await Promise.all(
      cuts.map(async (bytes) => {
        const proxy = await cutAfter(bytes);
        const losses: string[] = [];
        const result = queryThrough(proxy.url, () => losses.push("lost"));
        const end = await Promise.race([
          result.then(JSON.stringify, ({ code }) => code),
          later(9_000, "silence", { ref: false }),
        ]);
        proxy.close();
        assert.equal(losses.length, 1);
        return end;
      }),
    );
    assert.deepEqual([...new Set(ends)].sort(), ["CONNECTION_CLOSED", "ECONNREFUSED"]);
  });
});
