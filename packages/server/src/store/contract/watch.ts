/** Watchers are notified after a change is durable, whichever process wrote it. */
import assert from "node:assert/strict";
import { absent, type ChangeEvent, type Store } from "../store.ts";
import { type ContractCase, put } from "./contract-case.ts";
import { aDedupeKey, anAgent, aRequest } from "./fixture.ts";

export function watcherContract(contractCase: ContractCase): void {
  contractCase(
    "notifies a watcher of each request written, once durable, and of nothing else",
    async ({ store, reopen }) => {
      const other = await reopen();
      const events: ChangeEvent[] = [];
      const reads: Promise<unknown>[] = [];
      const request = aRequest({ candidates: ["apr_1", "apr_2"] });
      const stop = store.watch((event) => {
        events.push(event);
        if (event) reads.push(Promise.resolve(other.read("request", event.requestId)));
      });
      await put(store, "request", request, absent);
      const { id, candidates } = request;
      assert.deepEqual(events, [{ requestId: id, candidates, state: "pending", delivery: "poll" }]);
      assert.deepEqual(await reads[0], { record: request, version: 1 });
      assert.equal(await put(store, "request", request, absent), "conflict");
      await put(store, "agent", anAgent(), absent);
      await store.commitUnlogged({
        writes: [{ put: "dedupe_key", record: aDedupeKey(), ifVersion: absent }],
      });
      assert.equal(events.length, 1);
      stop();
      await put(store, "request", request, 1);
      assert.equal(events.length, 1);
    },
  );

  contractCase("notifies a watcher of writes of another handle", async ({ store, reopen }) => {
    const other = await reopen();
    for (const [writer, watcher] of [
      [store, other],
      [other, store],
    ] as const) {
      const waking = nextEvent(watcher);
      await put(writer, "request", aRequest(), absent);
      await waking;
    }
  });

  contractCase("treats each watch as a separate subscription", async ({ store }) => {
    const counts = { one: 0, twice: 0 };
    const twice = () => void counts.twice++;
    const stops = [store.watch(() => void counts.one++), store.watch(twice), store.watch(twice)];
    const write = () => put(store, "request", aRequest(), absent);
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

/** Resolves when the watcher is called. Rejects after 5 s. */
function nextEvent(store: Store): Promise<ChangeEvent> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("no event within 5 s")), 5_000);
    const stop = store.watch((event) => {
      clearTimeout(late);
      stop();
      resolve(event);
    });
  });
}
