/** Outbox records are claimed before they are sent; of concurrent claims of a record, one succeeds. */
import assert from "node:assert/strict";
import { absent, type Store, type Versioned } from "../store.ts";
import type { ContractCase } from "./contract-case.ts";
import { aCallback, aMessage, testNow, uniqueId } from "./fixture.ts";

export function claimContract(contractCase: ContractCase): void {
  const putMessages = async (store: Store, count: number) => {
    const messages = Array.from({ length: count }, (_, n) => aMessage({ dueAt: testNow + n }));
    for (const record of messages)
      await store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] });
    return messages.map(({ id }) => id);
  };
  const idsOf = (claims: readonly Versioned<"message">[]) => claims.map(({ record }) => record.id);

  contractCase("leases a claimed record: it is due again when the lease ends", async ({ store }) => {
    const record = aMessage();
    await store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] });
    const before = store.now();
    const [found, ...more] = await store.claim("message", { limit: 9 });
    assert.deepEqual(more, []);
    assert.deepEqual({ ...found!.record, dueAt: 0 }, { ...record, attempts: 1, dueAt: 0 });
    assert.ok(found!.record.dueAt >= before + 60_000 && found!.record.dueAt < before + 70_000);
    assert.deepEqual(await store.read("message", record.id), found);
    assert.deepEqual(await store.claim("message", { limit: 9 }), []);
    assert.deepEqual(idsOf(await store.due("message", found!.record.dueAt, 9)), [record.id]);
  });

  contractCase("claims the longest due first, up to the limit", async ({ store }) => {
    const ids = await putMessages(store, 5);
    assert.deepEqual(idsOf(await store.claim("message", { limit: 2 })), ids.slice(0, 2));
    assert.deepEqual(idsOf(await store.claim("message", { limit: 9 })), ids.slice(2));
  });

  contractCase("claims only due records of the given ids", async ({ store }) => {
    const later = store.now() + 3_600_000;
    const [due, other] = [aCallback(), aCallback()];
    const [idle, gone, early] = [
      aCallback({ state: "idle" }),
      aCallback({ state: "abandoned" }),
      aCallback({ dueAt: later }),
    ];
    for (const record of [due, other, idle, gone, early])
      await store.commitUnlogged({ writes: [{ put: "callback", record, ifVersion: absent }] });
    const ids = [early, gone, idle, due].map(({ id }) => id);
    const found = await store.claim("callback", { ids: [...ids, uniqueId("req"), due.id] });
    assert.deepEqual(
      found.map(({ record, version }) => [record.id, record.attempts, version]),
      [[due.id, 1, 2]],
    );
    assert.deepEqual(
      (await store.claim("callback", { limit: 9 })).map(({ record }) => record.id),
      [other.id],
    );
  });

  contractCase("gives each record to exactly one of several concurrent claims", async ({ store, reopen }) => {
    const handles = [store, await reopen(), await reopen()];
    const ids = await putMessages(store, 90);
    const taken: string[] = [];
    const claimAll = async (handle: Store) => {
      // Other handles may hold locks just then: retry empty claims.
      for (let idle = 0; idle < 20; ) {
        const found = idsOf(await handle.claim("message", { limit: 7 }));
        taken.push(...found);
        idle = found.length === 0 ? idle + 1 : 0;
      }
    };
    await Promise.all([...handles, ...handles].map(claimAll));
    assert.deepEqual([...taken].sort(), [...ids].sort());
  });

  contractCase(
    "claims a record again after its lease; a late write of the first holder is a conflict",
    async ({ store, reopen }) => {
      const other = await reopen();
      await putMessages(store, 1);
      const [first] = await store.claim("message", { limit: 1 });
      // The first holder is gone; its time is up.
      const { record, version } = first!;
      await store.commitUnlogged({
        writes: [{ put: "message", record: { ...record, dueAt: testNow }, ifVersion: version }],
      });
      const [second] = await other.claim("message", { limit: 1 });
      assert.deepEqual([second?.record.id, second?.record.attempts], [record.id, 2]);
      const late = { ...record, state: "sent" } as const;
      for (const ifVersion of [version, version + 1])
        assert.equal(
          await store.commitUnlogged({ writes: [{ put: "message", record: late, ifVersion }] }),
          "conflict",
        );
      assert.deepEqual(await other.read("message", record.id), second);
    },
  );

  contractCase("keeps both a concurrent claim and a write of one record", async ({ store, reopen }) => {
    const other = await reopen();
    for (let round = 0; round < 40; round += 1) {
      const record = aMessage();
      await store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] });
      const write = () =>
        store.commitUnlogged({
          writes: [{ put: "message", record: { ...record, lastError: "written" }, ifVersion: 1 }],
        });
      const claim = () => other.claim("message", { ids: [record.id] });
      const [outcome, found] =
        round % 2 ? await Promise.all([write(), claim()]) : (await Promise.all([claim(), write()])).reverse();
      const now = (await store.read("message", record.id))!;
      const was = {
        written: now.record.lastError === "written",
        claimed: now.record.attempts === 1,
        version: now.version,
      };
      const expected = {
        written: outcome === "committed",
        claimed: (found as readonly unknown[]).length === 1,
        version: 1 + Number(outcome === "committed") + (found as readonly unknown[]).length,
      };
      assert.deepEqual(was, expected, `round ${round}`);
    }
  });
}
