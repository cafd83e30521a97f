/** A write says which version it was made from; the store says whether that still held. */
import assert from "node:assert/strict";
import type { Approval } from "../../approval/approval.ts";
import { absent, type Write } from "../store.ts";
import { commit, put, type Rule } from "./rule.ts";
import { aLatch, anAgent, anApproval, anEntry, aReplay, noon } from "./specimen.ts";

export function guardsAndVersions(rule: Rule): void {
  rule("what is read is what was put, at version 1", async ({ store }) => {
    const latch = aLatch({
      subject: {
        text: "é e\u0301 \u0000 \u2028 \ud83d\ude00 \ud800 \\ \" '",
        number: Number.MAX_SAFE_INTEGER,
        list: [null, true, [], {}],
        "": "empty name",
      },
    });
    assert.equal(await put(store, "latch", latch, absent), "committed");
    assert.deepEqual(await store.read("latch", latch.id), { record: latch, version: 1 });
  });

  rule("what was never put, or was dropped, is not there", async ({ store }) => {
    assert.equal(await store.read("agent", "nobody"), undefined);
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.equal(await commit(store, { drop: "agent", id: agent.id, expect: 1 }), "committed");
    assert.equal(await store.read("agent", agent.id), undefined);
  });

  rule("each put raises the version by one", async ({ store }) => {
    const agent = anAgent();
    for (const version of [0, 1, 2]) {
      assert.equal(await put(store, "agent", { ...agent, name: `name ${version}` }, version), "committed");
      const held = await store.read("agent", agent.id);
      assert.deepEqual(held, { record: { ...agent, name: `name ${version}` }, version: version + 1 });
    }
  });

  rule("records of different kinds do not share ids", async ({ store }) => {
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.equal(await put(store, "latch", aLatch({ id: agent.id }), absent), "committed");
    assert.deepEqual((await store.read("agent", agent.id))?.record, agent);
  });

  for (const act of ["put", "drop", "check"] as const)
    rule(
      `a ${act} that expects another version than is there is a conflict and changes nothing`,
      async ({ store }) => {
        const agent = anAgent();
        for (const version of [0, 1, 2]) {
          for (const expect of [0, 1, 2, 3]) {
            if (expect === version) continue;
            const changed = { ...agent, name: "changed" };
            const write: Write =
              act === "put"
                ? { put: "agent", record: changed, expect }
                : act === "drop"
                  ? { drop: "agent", id: agent.id, expect }
                  : { check: "agent", id: agent.id, expect };
            const before = await store.read("agent", agent.id);
            assert.equal(await commit(store, write), "conflict", `expects ${expect}, ${version} is there`);
            assert.deepEqual(await store.read("agent", agent.id), before);
          }
          await put(store, "agent", agent, version);
        }
      },
    );

  rule(
    "a check that holds lets the change through and leaves what it checked as it was",
    async ({ store }) => {
      const [agent, latch] = [anAgent(), aLatch()];
      await put(store, "agent", agent, absent);
      const check: Write[] = [
        { check: "agent", id: agent.id, expect: 1 },
        { check: "latch", id: "no such latch", expect: absent },
      ];
      assert.equal(
        await commit(store, ...check, { put: "latch", record: latch, expect: absent }),
        "committed",
      );
      assert.equal((await store.read("agent", agent.id))?.version, 1);
      assert.equal((await store.read("latch", latch.id))?.version, 1);
    },
  );

  rule(
    "T11: from the instant `before` on, by the store's clock, a change is a conflict",
    async ({ store }) => {
      const agent = anAgent();
      const writes: Write[] = [{ put: "agent", record: agent, expect: absent }];
      for (const before of [0, store.now() - 1, store.now()])
        assert.equal(await store.commit({ writes, before, entries: [anEntry()] }), "conflict");
      assert.equal(await store.read("agent", agent.id), undefined);
      const later = store.now() + 60_000;
      assert.equal(await store.commit({ writes, before: later, entries: [anEntry()] }), "committed");
      const replay: Write<"replay"> = { put: "replay", record: aReplay(), expect: absent };
      assert.equal(await store.pass({ writes: [replay], before: store.now() }), "conflict");
      assert.equal(await store.pass({ writes: [replay], before: later }), "committed");
    },
  );

  rule(
    "T29: a change is a conflict once the agent has as many requests waiting as it says",
    async ({ store }) => {
      const soon = store.now() + 60_000;
      const ask = (given: Partial<Approval>, than: number) =>
        store.commit({
          writes: [{ put: "approval", record: anApproval({ expiresAt: soon, ...given }), expect: absent }],
          fewerWaiting: { agent: "agent_1", than },
          entries: [anEntry()],
        });
      assert.equal(await ask({ expiresAt: store.now() }, 1), "committed", "nothing was waiting");
      assert.equal(
        await ask({ standing: { state: "cancelled", endedAt: noon } }, 1),
        "committed",
        "one past its time",
      );
      assert.equal(await ask({ agent: "agent_2" }, 1), "committed", "and one cancelled");
      assert.equal(await ask({}, 1), "committed", "and one of another agent");
      assert.equal(await ask({}, 1), "conflict");
      assert.equal(await ask({}, 2), "committed");
      assert.deepEqual(await Promise.all([ask({}, 3), ask({}, 3)]), ["committed", "conflict"]);
      assert.equal(await store.waitingOf("agent_1", store.now()), 3);
    },
  );

  rule(
    "T29: a change is a conflict once the agent has asked as often since then as it says",
    async ({ store }) => {
      const ask = (given: Partial<Approval>, than: number) =>
        store.commit({
          writes: [{ put: "approval", record: anApproval({ createdAt: noon, ...given }), expect: absent }],
          fewerAsked: { agent: "agent_1", since: noon, than },
          entries: [anEntry()],
        });
      assert.equal(await ask({ createdAt: noon - 1 }, 1), "committed", "nothing was asked");
      assert.equal(await ask({ agent: "agent_2" }, 1), "committed", "one before that time");
      assert.equal(
        await ask({ standing: { state: "cancelled", endedAt: noon } }, 1),
        "committed",
        "one of another",
      );
      assert.equal(await ask({}, 1), "conflict", "what is over was asked all the same");
      assert.deepEqual(await Promise.all([ask({}, 2), ask({}, 2)]), ["committed", "conflict"]);
      assert.deepEqual(
        [await store.askedSince("agent_1", noon), await store.askedSince("agent_1", 0)],
        [2, 3],
      );
    },
  );
}
