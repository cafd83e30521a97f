/**
 * A process that writes to a store until it is told to stop, or killed, and says on its output what was acknowledged to
 * it. Started by `process.test.ts`, made for tests alone.
 */
import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { redeem } from "../../../server/src/domain/request/request.ts";
import { anEntry, aToken, aWholeChange, testNow } from "../../../server/src/store/contract/fixture.ts";
import { openSqlite } from "../../../server/src/store/sqlite/sqlite.ts";
import { absent, type Store } from "../../../server/src/store/store.ts";

/** One line, handed to the system before this returns, so that a kill right after it does not lose it. */
const say = (line: string) => void writeSync(1, `${line}\n`);

/** Says that it is ready, and waits until its input ends. */
async function told(): Promise<void> {
  say("ready");
  for await (const _ of process.stdin);
}

const jobs: { readonly [name: string]: (path: string, ...rest: string[]) => Promise<void> } = {
  /** Commits in turns of one to four changes and sequences now and then, for ever or until there is a fault. */
  write: async (path, prefix) => {
    const store = openSqlite({ path });
    say("open");
    try {
      for (let turn = 0; ; turn += 1) {
        const names = Array.from({ length: 1 + (turn % 4) }, (_, n) => `${prefix}_${turn}_${n}`);
        await Promise.all(names.map((name) => acknowledged(store, name)));
        if (turn % 3 === 0) await sequenced(store);
      }
    } catch (error) {
      assert.ok(error instanceof Error);
      say(`fault ${error.message}`);
    }
  },

  /** Reads every approval there is, tries to redeem them all once it is told to, and says which it got. */
  redeem: async (path) => {
    const store = openSqlite({ path });
    const held = [...(await store.list("request"))];
    await told();
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
      if (outcome === "committed") say(token.hash);
    }
    await store.close();
  },

  /** Opens the file once it is told to, commits once, and closes. */
  open: async (path) => {
    await told();
    const store = openSqlite({ path });
    say(await store.commit({ writes: [], entries: [anEntry({ id: `log ${process.pid}` })] }));
    await store.close();
  },

  /** Watches, and has nothing else to do. One of its listeners throws. */
  watch: async (path) => {
    const store = openSqlite({ path });
    process.once("uncaughtException", (error) => say(`uncaught ${error.message}`));
    store.watch(() => {
      throw new Error("from a listener");
    });
    store.watch(() => say("heard"));
    say(await store.commit(aWholeChange("a")));
  },
};

async function acknowledged(store: Store, name: string): Promise<void> {
  assert.equal(await store.commit(aWholeChange(name)), "committed");
  say(`change ${name}`);
}

async function sequenced(store: Store): Promise<void> {
  const size = await store.log.sequence(1_000);
  say(`size ${size} ${Buffer.from(await store.log.root(size)).toString("base64url")}`);
}

const [job = "", path = "", ...rest] = process.argv.slice(2);
await jobs[job]?.(path, ...rest);
