/** Those who wait are woken, after the fact and whoever wrote it. */
import assert from "node:assert/strict";
import { absent, type Store, type Wake } from "../store.ts";
import { put, type Rule } from "./rule.ts";
import { anAgent, anApproval, anAskKey } from "./specimen.ts";

export function watchers(rule: Rule): void {
  rule(
    "a watcher hears of each request written, once it is durable, and of nothing else",
    async ({ store, reopen }) => {
      const other = await reopen();
      const heard: Wake[] = [];
      const there: Promise<unknown>[] = [];
      const approval = anApproval({ candidates: ["apr_1", "apr_2"] });
      const stop = store.watch((wake) => {
        heard.push(wake);
        if (wake) there.push(Promise.resolve(other.read("approval", wake.approval)));
      });
      await put(store, "approval", approval, absent);
      const { id, candidates } = approval;
      assert.deepEqual(heard, [{ approval: id, candidates, state: "pending", delivery: "poll" }]);
      assert.deepEqual(await there[0], { record: approval, version: 1 });
      assert.equal(await put(store, "approval", approval, absent), "conflict");
      await put(store, "agent", anAgent(), absent);
      await store.pass({ writes: [{ put: "ask_key", record: anAskKey(), expect: absent }] });
      assert.equal(heard.length, 1);
      stop();
      await put(store, "approval", approval, 1);
      assert.equal(heard.length, 1);
    },
  );

  rule("a watcher hears of what was written through another handle", async ({ store, reopen }) => {
    const other = await reopen();
    for (const [writer, watcher] of [
      [store, other],
      [other, store],
    ] as const) {
      const waking = wakeOf(watcher);
      await put(writer, "approval", anApproval(), absent);
      await waking;
    }
  });

  rule("each watch is one of its own, and ends by itself", async ({ store }) => {
    const counts = { one: 0, twice: 0 };
    const twice = () => void counts.twice++;
    const stops = [store.watch(() => void counts.one++), store.watch(twice), store.watch(twice)];
    const write = () => put(store, "approval", anApproval(), absent);
    await write();
    assert.deepEqual(counts, { one: 1, twice: 2 });
    for (const stop of [stops[0], stops[0], stops[1]]) stop?.();
    await write();
    assert.deepEqual(counts, { one: 1, twice: 3 });
    stops[2]?.();
    await write();
    assert.deepEqual(counts, { one: 1, twice: 3 });
  });
}

/** Resolves when the store's watcher is called; fails if that takes longer than anybody would wait for a wake-up. */
function wakeOf(store: Store): Promise<Wake> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("not woken within five seconds")), 5_000);
    const stop = store.watch((wake) => {
      clearTimeout(late);
      stop();
      resolve(wake);
    });
  });
}
