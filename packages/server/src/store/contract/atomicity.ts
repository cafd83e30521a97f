/** A change is stored completely, for every handle and after every restart, or not at all. */
import assert from "node:assert/strict";
import { absent, type Write } from "../store.ts";
import { type ContractCase, commit, put } from "./contract-case.ts";
import { aDenial, anAgent, anApprover, anEntry, aWholeChange, partsOf, testNow } from "./fixture.ts";

export function atomicityContract(contractCase: ContractCase): void {
  const broken: Write = { check: "agent", id: "unknown", ifVersion: 7 };

  contractCase("stores a committed change completely, for every handle", async ({ store, reopen }) => {
    assert.equal(await store.commit(aWholeChange("a")), "committed");
    assert.equal(await partsOf(store, "a"), "all");
    assert.equal(await partsOf(await reopen(), "a"), "all");
  });

  contractCase("stores nothing of a change in conflict, whichever guard failed", async ({ store }) => {
    assert.equal(await store.commit(aWholeChange("a", broken)), "conflict");
    assert.equal(await store.commit({ ...aWholeChange("b"), notOnOrAfter: 0 }), "conflict");
    const maxPending = { agent: "agent_1", limit: 0 };
    assert.equal(await store.commit({ ...aWholeChange("c"), maxPending }), "conflict");
    for (const name of ["a", "b", "c"]) assert.equal(await partsOf(store, name), "nothing", name);
  });

  contractCase("rejects only the change whose due time is not an integer", async ({ store }) => {
    const valid = anAgent();
    const [invalid, other] = await Promise.allSettled([
      store.commitUnlogged({
        writes: [{ put: "replay", record: { id: "r", expiresAt: testNow + 0.5 }, ifVersion: absent }],
      }),
      put(store, "agent", valid, absent),
    ]);
    assert.deepEqual([invalid.status, other.status], ["rejected", "fulfilled"]);
    assert.equal(await store.read("replay", "r"), undefined);
    assert.ok(await store.read("agent", valid.id));
  });

  contractCase("stores other changes of the same turn beside a conflict", async ({ store }) => {
    const changes = [aWholeChange("a"), aWholeChange("b", broken), aWholeChange("c")];
    const outcomes = await Promise.all(changes.map((change) => store.commit(change)));
    assert.deepEqual(outcomes, ["committed", "conflict", "committed"]);
    const found = await Promise.all(["a", "b", "c"].map((name) => partsOf(store, name)));
    assert.deepEqual(found, ["all", "nothing", "all"]);
  });

  contractCase("applies changes of one turn in order, each seeing the earlier ones", async ({ store }) => {
    const agent = anAgent();
    const outcomes = await Promise.all([
      put(store, "agent", agent, absent),
      put(store, "agent", { ...agent, name: "second" }, 1),
      put(store, "agent", { ...agent, name: "late" }, 1),
      commit(store, { delete: "agent", id: agent.id, ifVersion: 2 }),
      put(store, "agent", { ...agent, name: "again" }, absent),
    ]);
    assert.deepEqual(outcomes, ["committed", "committed", "conflict", "committed", "committed"]);
    assert.deepEqual(await store.read("agent", agent.id), {
      record: { ...agent, name: "again" },
      version: 1,
    });
  });

  contractCase(
    "stores each of hundreds of changes of one turn completely or not at all",
    async ({ store }) => {
      const names = Array.from({ length: 400 }, (_, n) => String(n));
      const outcomes = await Promise.all(
        names.map((name, n) => store.commit(aWholeChange(name, n % 3 === 2 ? broken : undefined))),
      );
      for (const [n, name] of names.entries()) {
        assert.equal(outcomes[n], n % 3 === 2 ? "conflict" : "committed");
        assert.equal(await partsOf(store, name), n % 3 === 2 ? "nothing" : "all");
      }
    },
  );

  contractCase(
    "rejects only the change that gives an e-mail address to a second approver",
    async ({ store }) => {
      const [ada, eve] = [anApprover({ email: "ada@example.com" }), anApprover({ email: "ada@example.com" })];
      const results = await Promise.allSettled([
        put(store, "approver", ada, absent),
        store.commit(aWholeChange("a", { put: "approver", record: eve, ifVersion: absent })),
        store.commit(aWholeChange("b")),
      ]);
      assert.deepEqual(
        results.map((result) =>
          result.status === "fulfilled" ? result.value : result.reason instanceof Error,
        ),
        ["committed", true, "committed"],
      );
      assert.equal(await partsOf(store, "a"), "nothing");
      assert.equal(await partsOf(store, "b"), "all");
      assert.equal((await store.findApproverByEmail("ada@example.com"))?.record.id, ada.id);
    },
  );

  contractCase("rejects only the change whose entry id exists", async ({ store }) => {
    const first = aWholeChange("a");
    await store.commit(first);
    await assert.rejects(store.commit({ ...aWholeChange("b"), entries: first.entries }), Error);
    assert.equal(await partsOf(store, "a"), "all");
    assert.equal(await partsOf(store, "b"), "nothing");
  });

  contractCase("rejects a logged kind without a log entry, and writes nothing", async ({ store }) => {
    const change = aWholeChange("a");
    await assert.rejects(store.commit({ ...change, entries: [] as never }), /without a log entry/);
    await assert.rejects(store.commitUnlogged({ writes: change.writes as never }), /kind request/);
    assert.equal(await partsOf(store, "a"), "nothing");
  });

  contractCase("rejects a change that writes a record twice, and writes nothing", async ({ store }) => {
    const agent = anAgent();
    const write: Write = { put: "agent", record: agent, ifVersion: absent };
    await assert.rejects(commit(store, write, { check: "agent", id: agent.id, ifVersion: absent }), /twice/);
    assert.equal(await store.read("agent", agent.id), undefined);
  });

  contractCase("ignores mutations of a change after it was submitted", async ({ store }) => {
    const denial = { ...aDenial(), fields: { order: "A-1" } };
    const writes: Write[] = [{ put: "denial", record: denial, ifVersion: absent }];
    const outcome = store.commit({ writes, entries: [anEntry()] });
    denial.fields.order = "changed";
    writes.push(broken);
    assert.equal(await outcome, "committed");
    assert.deepEqual((await store.read("denial", denial.id))?.record.fields, { order: "A-1" });
  });

  contractCase("keeps a committed change across close and reopen (T21)", async ({ store, reopen }) => {
    for (const name of ["a", "b", "c"]) assert.equal(await store.commit(aWholeChange(name)), "committed");
    await store.close();
    const next = await reopen();
    for (const name of ["a", "b", "c"]) assert.equal(await partsOf(next, name), "all");
  });

  contractCase("waits for earlier changes on close, and rejects later ones", async ({ store, reopen }) => {
    const outcome = store.commit(aWholeChange("a"));
    await store.close();
    assert.equal(await outcome, "committed");
    await assert.rejects(store.commit(aWholeChange("b")), /closed/);
    await store.close();
    const next = await reopen();
    assert.equal(await partsOf(next, "a"), "all");
    assert.equal(await partsOf(next, "b"), "nothing");
  });
}
