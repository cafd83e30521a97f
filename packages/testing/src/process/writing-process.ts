/**
 * A process that writes to a store until it is killed, and prints what was acknowledged. Started by `process.test.ts`.
 */
import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { redeem } from "../../../server/src/domain/request/request.ts";
import { anEntry, aToken, aWholeChange, testNow } from "../../../server/src/store/contract/fixture.ts";
import { openSqlite } from "../../../server/src/store/sqlite/sqlite.ts";
import { absent, type Store } from "../../../server/src/store/store.ts";

/** Writes one line synchronously, so that a kill afterwards does not lose it. */
const writeLine = (line: string) => void writeSync(1, `${line}\n`);

/** Prints `ready` and waits until standard input ends. */
async function waitForInput(): Promise<void> {
  writeLine("ready");
  for await (const _ of process.stdin);
}

const jobs: { readonly [name: string]: (path: string, ...rest: string[]) => Promise<void> } = {
  /** Commits one to four changes per turn and sequences the log every third turn, until a fault. */
  write: async (path, prefix) => {
    const store = openSqlite({ path });
    writeLine("open");
    try {
      for (let turn = 0; ; turn += 1) {
        const names = Array.from({ length: 1 + (turn % 4) }, (_, n) => `${prefix}_${turn}_${n}`);
        await Promise.all(names.map((name) => commitChange(store, name)));
        if (turn % 3 === 0) await sequenceLog(store);
      }
    } catch (error) {
      assert.ok(error instanceof Error);
      writeLine(`fault ${error.message}`);
    }
  },

  /** Reads all requests, tries to redeem each once standard input ends, and prints those it redeemed. */
  redeem: async (path) => {
    const store = openSqlite({ path });
    const held = [...(await store.list("request"))];
    await waitForInput();
    for (const { record, version } of held) {
      const token = aToken({ hash: `${process.pid} ${record.id}`, requestId: record.id });
      const next = redeem(record, token.jti, testNow);
      assert.ok("status" in next);
      const outcome = await store.commit({
        writes: [
          { put: "request", record: next, ifVersion: version },
          { put: "token", record: token, ifVersion: absent },
        ],
        entries: [anEntry({ id: `log ${token.hash}` })],
      });
      if (outcome === "committed") writeLine(token.hash);
    }
    await store.close();
  },

  /** Opens the file once standard input ends, commits once, and closes. */
  open: async (path) => {
    await waitForInput();
    const store = openSqlite({ path });
    writeLine(await store.commit({ writes: [], entries: [anEntry({ id: `log ${process.pid}` })] }));
    await store.close();
  },

  /** Watches the store with two listeners, of which one throws. */
  watch: async (path) => {
    const store = openSqlite({ path });
    process.once("uncaughtException", (error) => writeLine(`uncaught ${error.message}`));
    store.watch(() => {
      throw new Error("from a listener");
    });
    store.watch(() => writeLine("heard"));
    writeLine(await store.commit(aWholeChange("a")));
  },
};

async function commitChange(store: Store, name: string): Promise<void> {
  assert.equal(await store.commit(aWholeChange(name)), "committed");
  writeLine(`change ${name}`);
}

async function sequenceLog(store: Store): Promise<void> {
  const size = await store.log.sequence(1_000);
  writeLine(`size ${size} ${Buffer.from(await store.log.root(size)).toString("base64url")}`);
}

const [job = "", path = "", ...rest] = process.argv.slice(2);
await jobs[job]?.(path, ...rest);
