/**
 * The PostgreSQL log while nodes write and sequence concurrently: every entry gets one index, in order of arrival.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { leafHash, verifyConsistency, verifyInclusion } from "@countersign/protocol";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { anEntry } from "../contract/fixture.ts";
import type { Store } from "../store.ts";
import { openPostgres } from "./postgres.ts";

const perWriter = 300;

let server: PostgresServer;
let nodes: Store[];
before(async () => {
  server = await startPostgres({ fsync: "off" });
  nodes = [];
  for (let n = 0; n < 2; n += 1) nodes.push(await openPostgres({ url: server.url, create: true }));
});
after(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await server.discard();
});

describe("PostgreSQL log", () => {
  test("leaves no gap and no duplicate with two writers and sequencers, in order of dependence", async () => {
    const [first, second] = nodes as [Store, Store];
    /** In order of acknowledgement. */
    const byWriter: string[][] = [[], []];
    const dependencies: [first: string, dependent: string][] = [];
    let writing = 2;

    /** Writes entries in sequence and concurrently; some depend on the newest entry of the other writer. */
    async function write(store: Store, at: number): Promise<void> {
      const mine = byWriter[at]!;
      const commit = async (): Promise<string> => {
        const entry = anEntry();
        assert.equal(await store.commit({ writes: [], entries: [entry] }), "committed");
        return entry.entry.id;
      };
      while (mine.length < perWriter) {
        const theirs = byWriter[1 - at]!.at(-1);
        const id = await commit();
        mine.push(id);
        if (theirs !== undefined) dependencies.push([theirs, id]);
        mine.push(...(await Promise.all([commit(), commit()])));
      }
      writing -= 1;
    }

    const sizes: number[] = [];
    async function sequence(store: Store, limit: number): Promise<void> {
      for (let idle = 0; writing > 0 || idle < 2; ) {
        const size = await store.log.sequence(limit);
        idle = size === sizes.at(-1) ? idle + 1 : 0;
        sizes.push(size);
      }
    }

    await Promise.all([write(first, 0), write(second, 1), sequence(first, 7), sequence(second, 50)]);
    const count = byWriter.flat().length;
    const entries = await first.log.entries(0, count + 1);
    assert.deepEqual(
      entries.map(({ index }) => index),
      [...Array(count).keys()],
    );
    const indexes = new Map(entries.map(({ line, index }) => [JSON.parse(line).id as string, index]));
    assert.equal(indexes.size, count);
    assert.deepEqual([...indexes.keys()].sort(), byWriter.flat().sort());
    for (const mine of byWriter)
      for (let at = 0; at + 3 < mine.length; at += 3)
        for (const later of mine.slice(at + 1, at + 4))
          assert.ok(indexes.get(mine[at]!)! < indexes.get(later)!, "entries are in order of acknowledgement");
    for (const [first, dependent] of dependencies) assert.ok(indexes.get(first)! < indexes.get(dependent)!);
    assert.ok(dependencies.length > 100);

    const root = await second.log.root(count);
    for (const { line, index } of entries.filter((_, at) => at % 37 === 0))
      assert.ok(verifyInclusion(leafHash(line), index, count, await first.log.inclusion(index, count), root));
    for (const size of sizes.filter((one, at) => one > 0 && at % 11 === 0))
      assert.ok(
        verifyConsistency(
          size,
          await first.log.root(size),
          count,
          root,
          await first.log.consistency(size, count),
        ),
      );
  });
});
