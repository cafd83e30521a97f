/** Each reader by name finds what it says, in the order it says. */
import assert from "node:assert/strict";
import { type Approval, deny, redeem } from "../../approval/approval.ts";
import type { Kind, Records } from "../record.ts";
import { absent, type Store } from "../store.ts";
import { commit, put, type Rule, still } from "./rule.ts";
import {
  aCallback,
  aDecision,
  aDevice,
  aMessage,
  anAgent,
  anApproval,
  anApprover,
  anEntry,
  aSession,
  noon,
} from "./specimen.ts";

export function readers(rule: Rule): void {
  const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);
  const putAll = (store: Store, kind: Kind, records: readonly Records[Kind][]) =>
    Promise.all(records.map((record) => put(store, kind, record as never, absent)));

  rule("a list holds every record of its kind, by id", async ({ store }) => {
    const [first, second, third] = [anAgent(), anAgent(), anAgent()];
    await putAll(store, "agent", [third, first, second]);
    await put(store, "agent", { ...second, paused: true }, 1);
    assert.deepEqual(await store.list("agent"), [
      { record: first, version: 1 },
      { record: { ...second, paused: true }, version: 2 },
      { record: third, version: 1 },
    ]);
    assert.deepEqual(await store.list("api"), []);
  });

  rule("an id that nothing could have is not there, and no fault", async ({ store }) => {
    for (const id of ["", "\0", "a\0b", "\ud800", "'", "%", "a".repeat(100_000)])
      assert.equal(await store.read("agent", id), undefined, JSON.stringify(id.slice(0, 9)));
  });

  rule("a record is due from its instant on, the longest due first", async ({ store }) => {
    const [late, early, later] = [noon + 2, noon + 1, noon + 3].map((dueAt) => aMessage({ dueAt }));
    const sent = aMessage({ dueAt: noon, state: "sent" });
    await putAll(store, "message", [late!, early!, later!, sent]);
    const due = async (now: number, limit = 9) =>
      (await store.due("message", now, limit)).map(({ record }) => record.id);
    assert.deepEqual(await due(noon), []);
    assert.deepEqual(await due(noon + 1), [early!.id]);
    assert.deepEqual(await due(noon + 3), [early!.id, late!.id, later!.id]);
    assert.deepEqual(await due(noon + 3, 2), [early!.id, late!.id]);
    assert.deepEqual(await store.due("message", noon + 1, 1), [{ record: early, version: 1 }]);
    await store.pass({ writes: [{ put: "message", record: { ...early!, state: "sent" }, expect: 1 }] });
    await store.pass({ writes: [{ drop: "message", id: late!.id, expect: 1 }] });
    assert.deepEqual(await due(noon + 3), [later!.id]);
  });

  rule("what is outstanding is what is due, and the log until it is signed", async ({ store }) => {
    const found = async () => [...(await store.outstanding())].sort();
    assert.deepEqual(await found(), []);
    const later = store.now() + 3_600_000;
    await store.pass({ writes: [{ put: "message", record: aMessage({ dueAt: later }), expect: absent }] });
    await store.pass({
      writes: [{ put: "callback", record: aCallback({ state: "silent" }), expect: absent }],
    });
    assert.deepEqual(await found(), []);
    const [message, callback] = [aMessage(), aCallback()];
    await store.pass({ writes: [{ put: "message", record: message, expect: absent }] });
    assert.deepEqual(await found(), ["message"]);
    await store.pass({ writes: [{ put: "callback", record: callback, expect: absent }] });
    assert.deepEqual(await found(), ["callback", "message"]);
    await store.claim("callback", { limit: 9 });
    assert.deepEqual(await found(), ["message"]);
    await store.claim("message", { limit: 9 });
    assert.deepEqual(await found(), []);

    await store.commit({ writes: [], entries: [anEntry()] });
    assert.deepEqual(await found(), ["log"]);
    await store.log.sequence(9);
    assert.deepEqual(await found(), ["log"]);
    await store.log.keepCheckpoint(1, "a note");
    assert.deepEqual(await found(), []);
    await store.commit({ writes: [], entries: [anEntry()] });
    assert.deepEqual(await found(), ["log"]);
  });

  rule(
    "T22: a request is due at its expiry while it is pending or approved, then never",
    async ({ store }) => {
      const approval = anApproval();
      const { expiresAt } = approval;
      const dueAt = async (now: number) => (await store.due("approval", now, 9)).length;
      await put(store, "approval", approval, absent);
      assert.deepEqual([await dueAt(expiresAt - 1), await dueAt(expiresAt)], [0, 1]);
      const approved: Approval = { ...approval, standing: { state: "approved", decision: aDecision() } };
      await put(store, "approval", approved, 1);
      assert.deepEqual([await dueAt(expiresAt - 1), await dueAt(expiresAt)], [0, 1]);
      await put(store, "approval", still(redeem(approved, "tok_1", noon)), 2);
      assert.deepEqual([await dueAt(expiresAt), await dueAt(expiresAt + 1e9)], [0, 0]);
    },
  );

  rule("the standing of a request is what a poll needs", async ({ store }) => {
    const approval = anApproval({ agent: "agent_7" });
    assert.equal(await store.standing(approval.id), undefined);
    await put(store, "approval", approval, absent);
    const standing = { agent: "agent_7", state: "pending", expiresAt: approval.expiresAt };
    assert.deepEqual(await store.standing(approval.id), standing);
    await put(store, "approval", still(deny(approval, aDecision(), noon)), 1);
    assert.deepEqual(await store.standing(approval.id), { ...standing, state: "denied" });
  });

  rule(
    "of many requests it is known at once which are not pending, those that are not there included",
    async ({ store }) => {
      const cancelled = { state: "cancelled", endedAt: noon } as const;
      const approvals = Array.from({ length: 300 }, (_, n) =>
        anApproval(n % 3 === 0 ? { standing: cancelled } : {}),
      );
      await putAll(store, "approval", approvals);
      const asked = [...idsOf(approvals), "req_nobody's"];
      const over = approvals.filter(({ standing }) => standing.state !== "pending");
      assert.deepEqual([...(await store.notPending(asked))].sort(), ["req_nobody's", ...idsOf(over)].sort());
      assert.deepEqual(await store.notPending([]), []);
      assert.deepEqual(await store.notPending([approvals[1]!.id]), []);
    },
  );

  rule("a poll finds an agent and the standing of a request at once", async ({ store }) => {
    const agent = anAgent();
    const approval = anApproval({ agent: "agent_7" });
    assert.deepEqual(await store.polling(agent.id, approval.id), {});
    await put(store, "approval", approval, absent);
    assert.deepEqual(await store.polling(agent.id, approval.id), {});
    await put(store, "agent", agent, absent);
    const held = await store.read("agent", agent.id);
    const standing = await store.standing(approval.id);
    assert.deepEqual(await store.polling(agent.id, approval.id), { agent: held, standing });
    assert.deepEqual(await store.polling(agent.id, "req_0"), { agent: held });
    await put(store, "agent", { ...agent, paused: true }, 1);
    await put(store, "approval", still(deny(approval, aDecision(), noon)), 1);
    assert.deepEqual(await store.polling(agent.id, approval.id), {
      agent: { record: { ...agent, paused: true }, version: 2 },
      standing: { ...standing, state: "denied" },
    });
    for (const id of ["", "\0", "\ud800"]) assert.deepEqual(await store.polling(id, approval.id), {});
  });

  rule("a record that was dropped and put again is read as it is now", async ({ store }) => {
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.deepEqual(await store.read("agent", agent.id), { record: agent, version: 1 });
    await commit(store, { drop: "agent", id: agent.id, expect: 1 });
    assert.equal(await store.read("agent", agent.id), undefined);
    await put(store, "agent", { ...agent, name: "Another" }, absent);
    assert.deepEqual(await store.read("agent", agent.id), {
      record: { ...agent, name: "Another" },
      version: 1,
    });
  });

  rule("an approver is found by the address as it is now", async ({ store }) => {
    const ada = anApprover({ email: "ada@example.com" });
    await putAll(store, "approver", [ada, anApprover()]);
    assert.deepEqual(await store.approverByEmail("ada@example.com"), ada);
    await put(store, "approver", { ...ada, email: "ada@example.org" }, 1);
    assert.equal(await store.approverByEmail("ada@example.com"), undefined);
    assert.equal((await store.approverByEmail("ada@example.org"))?.id, ada.id);
  });

  rule("devices are found by approver, sessions by device", async ({ store }) => {
    const devices = ["apr_1", "apr_2", "apr_1"].map((approver) => aDevice({ approver }));
    const sessions = ["dev_1", "dev_2", "dev_1"].map((device) => aSession({ device }));
    await putAll(store, "device", devices);
    await putAll(store, "session", sessions);
    assert.deepEqual(await store.devicesOf("apr_1"), [devices[0], devices[2]]);
    assert.deepEqual(await store.devicesOf("apr_3"), []);
    assert.deepEqual(await store.sessionsOn("dev_1"), [
      { record: sessions[0], version: 1 },
      { record: sessions[2], version: 1 },
    ]);
  });

  rule(
    "an inbox holds the pending requests that this approver may decide, oldest first",
    async ({ store }) => {
      const [first, second, third] = [["apr_1"], ["apr_2", "apr_1"], ["apr_2"]].map((candidates) =>
        anApproval({ candidates }),
      ) as [Approval, Approval, Approval];
      await putAll(store, "approval", [second, first, third]);
      assert.deepEqual(await store.waitingFor("apr_1"), [first, second]);
      assert.deepEqual(idsOf(await store.waitingFor("apr_2")), [second.id, third.id]);
      assert.deepEqual(await store.waitingFor("apr_3"), []);
    },
  );

  for (const state of ["approved", "denied", "expired", "cancelled"] as const)
    rule(`a request leaves every inbox in the write that makes it ${state}`, async ({ store }) => {
      const [approval, other] = [anApproval({ candidates: ["apr_1", "apr_2"] }), anApproval()];
      await putAll(store, "approval", [approval, other]);
      const standing =
        state === "approved"
          ? { state, decision: aDecision() }
          : state === "denied"
            ? { state, decision: aDecision(), endedAt: noon }
            : { state, endedAt: noon };
      await put(store, "approval", { ...approval, standing }, 1);
      assert.deepEqual(idsOf(await store.waitingFor("apr_1")), [other.id]);
      assert.deepEqual(await store.waitingFor("apr_2"), []);
    });

  rule("a request that stays pending is in the inboxes of those who may decide it now", async ({ store }) => {
    const approval = anApproval({ candidates: ["apr_1", "apr_2", "apr_2"] });
    await put(store, "approval", approval, absent);
    assert.deepEqual(idsOf(await store.waitingFor("apr_2")), [approval.id]);
    const handedOn = { ...approval, candidates: ["apr_2", "apr_3"] };
    await put(store, "approval", handedOn, 1);
    assert.deepEqual(await store.waitingFor("apr_1"), []);
    assert.deepEqual(await store.waitingFor("apr_3"), [handedOn]);
    await commit(store, { drop: "approval", id: approval.id, expect: 2 });
    assert.deepEqual(await store.waitingFor("apr_3"), []);
    await put(store, "approval", handedOn, absent);
    assert.deepEqual(await store.waitingFor("apr_3"), [handedOn]);
  });

  rule("what an approver decided is found, newest first, whatever became of it", async ({ store }) => {
    const decision = aDecision({ approver: "apr_2" });
    const [approved, denied, lapsed, redeemed, others] = [
      anApproval({ standing: { state: "approved", decision } }),
      anApproval({ standing: { state: "denied", decision, endedAt: noon } }),
      anApproval({ standing: { state: "lapsed", decision, endedAt: noon } }),
      anApproval({ standing: { state: "redeemed", decision, endedAt: noon, token: "tok_1" } }),
      anApproval({ standing: { state: "approved", decision: aDecision() } }),
    ] as const;
    await putAll(store, "approval", [lapsed, approved, others, redeemed, denied, anApproval()]);
    assert.deepEqual(await store.decidedBy("apr_2", 9), [redeemed, lapsed, denied, approved]);
    assert.deepEqual(idsOf(await store.decidedBy("apr_2", 2)), [redeemed.id, lapsed.id]);
  });

  rule("requests are listed newest first, all or those written in one state", async ({ store }) => {
    const cancelled = { state: "cancelled", endedAt: noon } as const;
    const [first, second, third] = [anApproval(), anApproval({ standing: cancelled }), anApproval()] as const;
    await putAll(store, "approval", [second, third, first]);
    assert.deepEqual(await store.requests({ limit: 9 }), [third, second, first]);
    assert.deepEqual(await store.requests({ limit: 1 }), [third]);
    assert.deepEqual(await store.requests({ state: "pending", limit: 9 }), [third, first]);
    assert.deepEqual(await store.requests({ state: "pending", limit: 1 }), [third]);
    assert.deepEqual(await store.requests({ state: "denied", limit: 9 }), []);
  });

  rule("what waits of an agent is what is pending and not past its time", async ({ store }) => {
    const cancelled = { state: "cancelled", endedAt: noon } as const;
    const [sooner, later] = [anApproval({ expiresAt: noon + 10 }), anApproval({ expiresAt: noon + 20 })];
    const others = [anApproval({ agent: "agent_2" }), anApproval({ standing: cancelled })];
    await putAll(store, "approval", [sooner, later, ...others]);
    const counts = [noon + 9, noon + 10, noon + 20].map((now) => store.waitingOf("agent_1", now));
    assert.deepEqual(await Promise.all(counts), [2, 1, 0]);
  });

  rule("what waits of all agents is known by when it was asked, oldest first", async ({ store }) => {
    const cancelled = { state: "cancelled", endedAt: noon } as const;
    const at = [noon + 1, noon + 2, noon + 3].map((createdAt) =>
      anApproval({ createdAt, agent: `a${createdAt}` }),
    );
    const over = [anApproval({ standing: cancelled }), anApproval({ expiresAt: noon })];
    await putAll(store, "approval", [at[1]!, ...over, at[0]!, at[2]!]);
    assert.deepEqual(await store.waitingSince(noon, 9), [noon + 1, noon + 2, noon + 3]);
    assert.deepEqual(await store.waitingSince(noon, 2), [noon + 1, noon + 2]);
  });

  rule("messages that were given up are listed, newest first", async ({ store }) => {
    const [first, , third] = (["given_up", "sent", "given_up", "waiting"] as const).map((state) =>
      aMessage({ state }),
    );
    await putAll(store, "message", [third!, aMessage({ state: "sent" }), first!]);
    assert.deepEqual(await store.undelivered(9), [third, first]);
    assert.deepEqual(await store.undelivered(1), [third]);
  });

  rule("callbacks that were given up are listed, newest first", async ({ store }) => {
    const [first, , third] = (["given_up", "waiting", "given_up", "silent"] as const).map((state) =>
      aCallback({ state }),
    );
    await putAll(store, "callback", [third!, aCallback({ state: "waiting" }), first!]);
    assert.deepEqual(await store.unansweredCallbacks(9), [third, first]);
    assert.deepEqual(await store.unansweredCallbacks(1), [third]);
  });
}
