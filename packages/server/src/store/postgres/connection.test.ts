/** What becomes of a connection to PostgreSQL that is broken off at any byte of what the database says. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as later } from "node:timers/promises";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { openConnection } from "./connection.ts";

let database: PostgresServer;
before(async () => {
  database = await startPostgres();
});
after(() => database.discard());

/** In front of the database: passes so many bytes of what it says on, breaks off, and is gone for good. */
async function cutAfter(bytes: number) {
  const { port } = new URL(database.url);
  let passed = 0;
  const door = createServer((client) => {
    const inner = connect(Number(port), "127.0.0.1");
    inner.on("data", (said) => {
      const room = bytes - passed;
      client.write(said.subarray(0, room));
      passed += said.length;
      if (passed <= bytes) return;
      door.close();
      client.destroy();
    });
    client.on("data", (asked) => inner.write(asked));
    for (const [one, other] of [
      [client, inner],
      [inner, client],
    ] as const)
      one.on("error", () => {}).on("close", () => other.destroy());
  });
  await once(door.listen(0, "127.0.0.1"), "listening");
  const url = database.url.replace(`:${port}`, `:${(door.address() as AddressInfo).port}`);
  return { url, passed: () => passed, close: () => void door.close() };
}

const odd = ["", "{}", 'a "quoted" \\ one, {with} all', "NULL", null, "Ünïcode"];
const numbers = [-2, 0, null, Number.MAX_SAFE_INTEGER, 3, 4];

/** Opens a connection and has one statement answered, with lists in it. */
async function askThrough(url: string, onLost: () => void): Promise<readonly object[]> {
  const link = await openConnection({ url, onLost });
  try {
    const sql = "SELECT a, b FROM unnest($1::text[], $2::bigint[]) AS row (a, b)";
    return [...(await link.run(sql, odd, numbers))];
  } finally {
    await link.destroy();
  }
}

test("a connection that is broken off after any number of bytes rejects what waits on it, once, and harms nothing else", async () => {
  const whole = await cutAfter(Number.POSITIVE_INFINITY);
  const rows = await askThrough(whole.url, () => {});
  whole.close();
  assert.deepEqual(
    rows,
    odd.map((a, at) => ({ a, b: numbers[at] })),
  );
  const cuts = Array.from({ length: Math.floor(whole.passed() / 9) }, (_, at) => at * 9);
  const ends = await Promise.all(
    cuts.map(async (bytes) => {
      const door = await cutAfter(bytes);
      const losses: string[] = [];
      const answer = askThrough(door.url, () => losses.push("lost"));
      const end = await Promise.race([
        answer.then(JSON.stringify, ({ code }) => code),
        later(9_000, "silence", { ref: false }),
      ]);
      door.close();
      assert.equal(losses.length, 1);
      return end;
    }),
  );
  assert.deepEqual([...new Set(ends)].sort(), ["CONNECTION_CLOSED", "ECONNREFUSED"]);
});
