/**
 * Measures log entries sequenced per second by batch size, on PostgreSQL and SQLite, and on PostgreSQL also with two nodes that
 * sequence concurrently and wait for each other's lock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anEntry } from "../packages/server/src/store/contract/fixture.ts";
import { openPostgres } from "../packages/server/src/store/postgres/postgres.ts";
import { openSqlite } from "../packages/server/src/store/sqlite/sqlite.ts";
import type { Store } from "../packages/server/src/store/store.ts";
import { startDatabase } from "./harness/database.ts";
import { formatInteger, formatTable } from "./harness/stats.ts";

const entries = 6_000;
const batches = [50, 200, 1_000];

export async function sequence(): Promise<void> {
  const rows: string[][] = [];
  const database = await startDatabase();
  const folder = mkdtempSync(join(tmpdir(), "countersign-sequence-"));
  try {
    for (const nodes of [1, 2])
      for (const batch of batches) {
        const schema = `sequence_${nodes}_${batch}`;
        const stores: Store[] = [];
        for (let at = 0; at < nodes; at += 1)
          stores.push(await openPostgres({ url: database.url, schema, create: true }));
        await fill(stores[0]!);
        let figures = { seconds: 0, cpu: 0 };
        const { cpuSeconds, walBytes } = await database.measure(async () => {
          figures = await timed(stores, batch);
        });
        rows.push([
          `PostgreSQL, ${nodes === 1 ? "one node" : "two nodes at once"}`,
          ...said(batch, figures),
          formatInteger(entries / cpuSeconds),
          formatInteger(walBytes / entries),
        ]);
        await Promise.all(stores.map((store) => store.close()));
      }
    for (const batch of batches) {
      const store = openSqlite({ path: join(folder, `${batch}.db`) });
      await fill(store);
      rows.push(["SQLite", ...said(batch, await timed([store], batch)), "", ""]);
      await store.close();
    }
  } finally {
    await database.discard();
    rmSync(folder, { recursive: true });
  }
  const head = [
    "",
    "batch",
    "entries a second",
    "a CPU second of the node",
    "of PostgreSQL",
    "WAL bytes each",
  ];
  console.log(`\n${formatTable(head, rows)}`);
}

function said(batch: number, { seconds, cpu }: { readonly seconds: number; readonly cpu: number }): string[] {
  return [formatInteger(batch), formatInteger(entries / seconds), formatInteger(entries / cpu)];
}

async function timed(stores: readonly Store[], batch: number) {
  const before = process.cpuUsage();
  const start = performance.now();
  await Promise.all(
    stores.map(async (store) => {
      while ((await store.log.sequence(batch)) < entries);
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}

/** Creates entries of a typical length. */
async function fill(store: Store): Promise<void> {
  const facts = { candidates: ["apr_01"], why: "x".repeat(300) };
  for (let from = 0; from < entries; from += 500)
    await Promise.all(
      Array.from({ length: 500 }, () =>
        store.commit({ writes: [], entries: [anEntry({ request: `req_${from}`, facts })] }),
      ),
    );
}
