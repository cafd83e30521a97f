/** Version guards and counting guards. */
import assert from "node:assert/strict";
import type { ApprovalRequest } from "../../domain/request/request.ts";
import { absent, type Write } from "../store.ts";
import { type ContractCase, commit, put } from "./contract-case.ts";
import { aDenial, anAgent, anEntry, aReplay, aRequest, testNow } from "./fixture.ts";

export function guardContract(contractCase: ContractCase): void {
  contractCase("reads a record as it was put, at version 1", async ({ store }) => {
    const denial = aDenial({
      fields: {
        text: "é e\u0301 \u0000 \u2028 \ud83d\ude00 \ud800 \\ \" '",
        number: Number.MAX_SAFE_INTEGER,
        list: [null, true, [], {}],
        "": "empty name",
      },
    });
    assert.equal(await put(store, "denial", denial, absent), "committed");
    assert.deepEqual(await store.read("denial", denial.id), { record: denial, version: 1 });
  });

  contractCase("returns undefined for a record that was never put or was deleted", async ({ store }) => {
    assert.equal(await store.read("agent", "unknown"), undefined);
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.equal(await commit(store, { delete: "agent", id: agent.id, ifVersion: 1 }), "committed");
    assert.equal(await store.read("agent", agent.id), undefined);
  });

  contractCase("increments the version with each put", async ({ store }) => {
    const agent = anAgent();
    for (const version of [0, 1, 2]) {
      assert.equal(await put(store, "agent", { ...agent, name: `name ${version}` }, version), "committed");
      const found = await store.read("agent", agent.id);
      assert.deepEqual(found, { record: { ...agent, name: `name ${version}` }, version: version + 1 });
    }
  });

  contractCase("separates the ids of different kinds", async ({ store }) => {
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.equal(await put(store, "denial", aDenial({ id: agent.id }), absent), "committed");
    assert.deepEqual((await store.read("agent", agent.id))?.record, agent);
  });

  for (const act of ["put", "delete", "check"] as const)
    contractCase(
      `returns conflict for a ${act} with another ifVersion, and changes nothing`,
      async ({ store }) => {
        const agent = anAgent();
        for (const version of [0, 1, 2]) {
          for (const ifVersion of [0, 1, 2, 3]) {
            if (ifVersion === version) continue;
            const changed = { ...agent, name: "changed" };
            const write: Write =
              act === "put"
                ? { put: "agent", record: changed, ifVersion }
                : act === "delete"
                  ? { delete: "agent", id: agent.id, ifVersion }
                  : { check: "agent", id: agent.id, ifVersion };
            const before = await store.read("agent", agent.id);
            assert.equal(await commit(store, write), "conflict", `expects ${ifVersion}, ${version} is there`);
            assert.deepEqual(await store.read("agent", agent.id), before);
          }
          await put(store, "agent", agent, version);
        }
      },
    );

  contractCase("changes neither record nor version for a passing check", async ({ store }) => {
    const [agent, denial] = [anAgent(), aDenial()];
    await put(store, "agent", agent, absent);
    const check: Write[] = [
      { check: "agent", id: agent.id, ifVersion: 1 },
      { check: "denial", id: "unknown", ifVersion: absent },
    ];
    assert.equal(
      await commit(store, ...check, { put: "denial", record: denial, ifVersion: absent }),
      "committed",
    );
    assert.equal((await store.read("agent", agent.id))?.version, 1);
    assert.equal((await store.read("denial", denial.id))?.version, 1);
  });

  contractCase("returns conflict for a change at or after notOnOrAfter (T11)", async ({ store }) => {
    const agent = anAgent();
    const writes: Write[] = [{ put: "agent", record: agent, ifVersion: absent }];
    for (const before of [0, store.now() - 1, store.now()])
      assert.equal(await store.commit({ writes, notOnOrAfter: before, entries: [anEntry()] }), "conflict");
    assert.equal(await store.read("agent", agent.id), undefined);
    const later = store.now() + 60_000;
    assert.equal(await store.commit({ writes, notOnOrAfter: later, entries: [anEntry()] }), "committed");
    const replay: Write<"replay"> = { put: "replay", record: aReplay(), ifVersion: absent };
    assert.equal(await store.commitUnlogged({ writes: [replay], notOnOrAfter: store.now() }), "conflict");
    assert.equal(await store.commitUnlogged({ writes: [replay], notOnOrAfter: later }), "committed");
  });

  contractCase("returns conflict once the agent has maxPending requests (T29)", async ({ store }) => {
    const soon = store.now() + 60_000;
    const ask = (overrides: Partial<ApprovalRequest>, limit: number) =>
      store.commit({
        writes: [{ put: "request", record: aRequest({ expiresAt: soon, ...overrides }), ifVersion: absent }],
        maxPending: { agent: "agent_1", limit },
        entries: [anEntry()],
      });
    assert.equal(await ask({ expiresAt: store.now() }, 1), "committed", "none is pending");
    assert.equal(
      await ask({ status: { state: "cancelled", endedAt: testNow } }, 1),
      "committed",
      "one has expired",
    );
    assert.equal(await ask({ agent: "agent_2" }, 1), "committed", "one is cancelled");
    assert.equal(await ask({}, 1), "committed", "one is of another agent");
    assert.equal(await ask({}, 1), "conflict");
    assert.equal(await ask({}, 2), "committed");
    assert.deepEqual(await Promise.all([ask({}, 3), ask({}, 3)]), ["committed", "conflict"]);
    assert.equal(await store.countPending("agent_1", store.now()), 3);
  });

  contractCase(
    "returns conflict once the agent has created maxCreatedSince requests (T29)",
    async ({ store }) => {
      const ask = (overrides: Partial<ApprovalRequest>, limit: number) =>
        store.commit({
          writes: [
            { put: "request", record: aRequest({ createdAt: testNow, ...overrides }), ifVersion: absent },
          ],
          maxCreatedSince: { agent: "agent_1", since: testNow, limit },
          entries: [anEntry()],
        });
      assert.equal(await ask({ createdAt: testNow - 1 }, 1), "committed", "none was created");
      assert.equal(await ask({ agent: "agent_2" }, 1), "committed", "one is older");
      assert.equal(
        await ask({ status: { state: "cancelled", endedAt: testNow } }, 1),
        "committed",
        "one is of another agent",
      );
      assert.equal(await ask({}, 1), "conflict", "ended requests count");
      assert.deepEqual(await Promise.all([ask({}, 2), ask({}, 2)]), ["committed", "conflict"]);
      assert.deepEqual(
        [await store.countCreatedSince("agent_1", testNow), await store.countCreatedSince("agent_1", 0)],
        [2, 3],
      );
    },
  );
}
