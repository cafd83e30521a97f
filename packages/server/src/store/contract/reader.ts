/** Results and order of each reader. */
import assert from "node:assert/strict";
import { type ApprovalRequest, deny, redeem } from "../../domain/request/request.ts";
import type { Kind, Records } from "../record/records.ts";
import { absent, type Store } from "../store.ts";
import { assertNotRefused, type ContractCase, commit, put } from "./contract-case.ts";
import {
  aCallback,
  aContact,
  aDecision,
  aDevice,
  aMessage,
  anAgent,
  anApprover,
  anEntry,
  aRequest,
  aSession,
  testNow,
} from "./fixture.ts";

export function readerContract(contractCase: ContractCase): void {
  const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);
  const putAll = (store: Store, kind: Kind, records: readonly Records[Kind][]) =>
    Promise.all(records.map((record) => put(store, kind, record as never, absent)));

  contractCase("list returns every record of a kind, by id", async ({ store }) => {
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

  contractCase("read returns undefined for malformed ids", async ({ store }) => {
    for (const id of ["", "\0", "a\0b", "\ud800", "'", "%", "a".repeat(100_000)])
      assert.equal(await store.read("agent", id), undefined, JSON.stringify(id.slice(0, 9)));
  });

  contractCase("due returns records from their due time on, longest due first", async ({ store }) => {
    const [late, early, later] = [testNow + 2, testNow + 1, testNow + 3].map((dueAt) => aMessage({ dueAt }));
    const sent = aMessage({ dueAt: testNow, state: "sent" });
    await putAll(store, "message", [late!, early!, later!, sent]);
    const due = async (now: number, limit = 9) =>
      (await store.due("message", now, limit)).map(({ record }) => record.id);
    assert.deepEqual(await due(testNow), []);
    assert.deepEqual(await due(testNow + 1), [early!.id]);
    assert.deepEqual(await due(testNow + 3), [early!.id, late!.id, later!.id]);
    assert.deepEqual(await due(testNow + 3, 2), [early!.id, late!.id]);
    assert.deepEqual(await store.due("message", testNow + 1, 1), [{ record: early, version: 1 }]);
    await store.commitUnlogged({
      writes: [{ put: "message", record: { ...early!, state: "sent" }, ifVersion: 1 }],
    });
    await store.commitUnlogged({ writes: [{ delete: "message", id: late!.id, ifVersion: 1 }] });
    assert.deepEqual(await due(testNow + 3), [later!.id]);
  });

  contractCase(
    "listPendingKinds returns due kinds, and the log until a checkpoint covers it",
    async ({ store }) => {
      const found = async () => [...(await store.listPendingKinds())].sort();
      assert.deepEqual(await found(), []);
      const later = store.now() + 3_600_000;
      await store.commitUnlogged({
        writes: [{ put: "message", record: aMessage({ dueAt: later }), ifVersion: absent }],
      });
      await store.commitUnlogged({
        writes: [{ put: "callback", record: aCallback({ state: "idle" }), ifVersion: absent }],
      });
      assert.deepEqual(await found(), []);
      const [message, callback] = [aMessage(), aCallback()];
      await store.commitUnlogged({ writes: [{ put: "message", record: message, ifVersion: absent }] });
      assert.deepEqual(await found(), ["message"]);
      await store.commitUnlogged({ writes: [{ put: "callback", record: callback, ifVersion: absent }] });
      assert.deepEqual(await found(), ["callback", "message"]);
      await store.claim("callback", { limit: 9 });
      assert.deepEqual(await found(), ["message"]);
      await store.claim("message", { limit: 9 });
      assert.deepEqual(await found(), []);

      await store.commit({ writes: [], entries: [anEntry()] });
      assert.deepEqual(await found(), ["log"]);
      await store.log.sequence(9);
      assert.deepEqual(await found(), ["log"]);
      await store.log.storeCheckpoint(1, "a note");
      assert.deepEqual(await found(), []);
      await store.commit({ writes: [], entries: [anEntry()] });
      assert.deepEqual(await found(), ["log"]);
    },
  );

  contractCase(
    "has a request due at its expiry while pending or approved, then never (T22)",
    async ({ store }) => {
      const request = aRequest();
      const { expiresAt } = request;
      const dueAt = async (now: number) => (await store.due("request", now, 9)).length;
      await put(store, "request", request, absent);
      assert.deepEqual([await dueAt(expiresAt - 1), await dueAt(expiresAt)], [0, 1]);
      const approved: ApprovalRequest = { ...request, status: { state: "approved", decision: aDecision() } };
      await put(store, "request", approved, 1);
      assert.deepEqual([await dueAt(expiresAt - 1), await dueAt(expiresAt)], [0, 1]);
      await put(store, "request", assertNotRefused(redeem(approved, "tok_1", testNow)), 2);
      assert.deepEqual([await dueAt(expiresAt), await dueAt(expiresAt + 1e9)], [0, 0]);
    },
  );

  contractCase("readStatus returns agent, state and expiry", async ({ store }) => {
    const request = aRequest({ agent: "agent_7" });
    assert.equal(await store.readStatus(request.id), undefined);
    await put(store, "request", request, absent);
    const status = { agent: "agent_7", state: "pending", expiresAt: request.expiresAt };
    assert.deepEqual(await store.readStatus(request.id), status);
    await put(store, "request", assertNotRefused(deny(request, aDecision(), testNow)), 1);
    assert.deepEqual(await store.readStatus(request.id), { ...status, state: "denied" });
  });

  contractCase("findNotPending returns decided, ended and unknown requests", async ({ store }) => {
    const cancelled = { state: "cancelled", endedAt: testNow } as const;
    const requests = Array.from({ length: 300 }, (_, n) =>
      aRequest(n % 3 === 0 ? { status: cancelled } : {}),
    );
    await putAll(store, "request", requests);
    const ids = [...idsOf(requests), "req_unknown"];
    const over = requests.filter(({ status }) => status.state !== "pending");
    assert.deepEqual([...(await store.findNotPending(ids))].sort(), ["req_unknown", ...idsOf(over)].sort());
    assert.deepEqual(await store.findNotPending([]), []);
    assert.deepEqual(await store.findNotPending([requests[1]!.id]), []);
  });

  contractCase("readAgentAndStatus returns an agent and the status of a request", async ({ store }) => {
    const agent = anAgent();
    const request = aRequest({ agent: "agent_7" });
    assert.deepEqual(await store.readAgentAndStatus(agent.id, request.id), {});
    await put(store, "request", request, absent);
    assert.deepEqual(await store.readAgentAndStatus(agent.id, request.id), {});
    await put(store, "agent", agent, absent);
    const found = await store.read("agent", agent.id);
    const status = await store.readStatus(request.id);
    assert.deepEqual(await store.readAgentAndStatus(agent.id, request.id), { agent: found, request: status });
    assert.deepEqual(await store.readAgentAndStatus(agent.id, "req_0"), { agent: found });
    await put(store, "agent", { ...agent, paused: true }, 1);
    await put(store, "request", assertNotRefused(deny(request, aDecision(), testNow)), 1);
    assert.deepEqual(await store.readAgentAndStatus(agent.id, request.id), {
      agent: { record: { ...agent, paused: true }, version: 2 },
      request: { ...status, state: "denied" },
    });
    for (const id of ["", "\0", "\ud800"])
      assert.deepEqual(await store.readAgentAndStatus(id, request.id), {});
  });

  contractCase("reads a record that was deleted and put again", async ({ store }) => {
    const agent = anAgent();
    await put(store, "agent", agent, absent);
    assert.deepEqual(await store.read("agent", agent.id), { record: agent, version: 1 });
    await commit(store, { delete: "agent", id: agent.id, ifVersion: 1 });
    assert.equal(await store.read("agent", agent.id), undefined);
    await put(store, "agent", { ...agent, name: "Another" }, absent);
    assert.deepEqual(await store.read("agent", agent.id), {
      record: { ...agent, name: "Another" },
      version: 1,
    });
  });

  contractCase("findApproverByEmail uses the current address", async ({ store }) => {
    const ada = anApprover({ email: "ada@example.com" });
    await putAll(store, "approver", [ada, anApprover()]);
    assert.deepEqual(await store.findApproverByEmail("ada@example.com"), { record: ada, version: 1 });
    await put(store, "approver", { ...ada, email: "ada@example.org" }, 1);
    assert.equal(await store.findApproverByEmail("ada@example.com"), undefined);
    assert.equal((await store.findApproverByEmail("ada@example.org"))?.record.id, ada.id);
  });

  contractCase("listDevicesOf and listSessionsOn filter by approver and device", async ({ store }) => {
    const devices = ["apr_1", "apr_2", "apr_1"].map((approver) => aDevice({ approver }));
    const sessions = ["dev_1", "dev_2", "dev_1"].map((device) => aSession({ device }));
    await putAll(store, "device", devices);
    await putAll(store, "session", sessions);
    assert.deepEqual(await store.listDevicesOf("apr_1"), [devices[0], devices[2]]);
    assert.deepEqual(await store.listDevicesOf("apr_3"), []);
    assert.deepEqual(await store.listSessionsOn("dev_1"), [
      { record: sessions[0], version: 1 },
      { record: sessions[2], version: 1 },
    ]);
  });

  contractCase(
    "finds contacts by approver, in order of their ids, with their versions",
    async ({ store }) => {
      const contacts = ["apr_1", "apr_2", "apr_1"].map((approver) => aContact({ approver }));
      await putAll(store, "contact", [contacts[2]!, contacts[1]!, contacts[0]!]);
      const disabled = { ...contacts[0]!, disabledAt: testNow, disabledReason: "gone" };
      await put(store, "contact", disabled, 1);
      assert.deepEqual(await store.listContactsOf("apr_1"), [
        { record: disabled, version: 2 },
        { record: contacts[2], version: 1 },
      ]);
      assert.deepEqual(await store.listContactsOf("apr_3"), []);
    },
  );

  contractCase("finds messages that await the end of a request until they are sent", async ({ store }) => {
    const about = { requestId: "req_7", kind: "resolved", receipt: { at: "1" } } as const;
    const [first, second] = [aMessage(about), aMessage(about)];
    const others = [aMessage({ requestId: "req_7" }), aMessage({ ...about, requestId: "req_8" })];
    await putAll(store, "message", [second, ...others, first, aMessage({ ...about, state: "sent" })]);
    assert.deepEqual(await store.listMessagesAwaiting("req_7"), [
      { record: first, version: 1 },
      { record: second, version: 1 },
    ]);
    await store.commitUnlogged({
      writes: [{ put: "message", record: { ...first, state: "sent" }, ifVersion: 1 }],
    });
    assert.deepEqual(await store.listMessagesAwaiting("req_7"), [{ record: second, version: 1 }]);
    const [claimed] = await store.claim("message", { ids: [second.id] });
    assert.deepEqual(await store.listMessagesAwaiting("req_7"), [claimed]);
  });

  contractCase(
    "listPendingFor returns the pending requests of a candidate, oldest first",
    async ({ store }) => {
      const [first, second, third] = [["apr_1"], ["apr_2", "apr_1"], ["apr_2"]].map((candidates) =>
        aRequest({ candidates }),
      ) as [ApprovalRequest, ApprovalRequest, ApprovalRequest];
      await putAll(store, "request", [second, first, third]);
      assert.deepEqual(await store.listPendingFor("apr_1"), [first, second]);
      assert.deepEqual(idsOf(await store.listPendingFor("apr_2")), [second.id, third.id]);
      assert.deepEqual(await store.listPendingFor("apr_3"), []);
    },
  );

  for (const state of ["approved", "denied", "expired", "cancelled"] as const)
    contractCase(
      `removes a request that becomes ${state} from every inbox in the same write`,
      async ({ store }) => {
        const [request, other] = [aRequest({ candidates: ["apr_1", "apr_2"] }), aRequest()];
        await putAll(store, "request", [request, other]);
        const status =
          state === "approved"
            ? { state, decision: aDecision() }
            : state === "denied"
              ? { state, decision: aDecision(), endedAt: testNow }
              : { state, endedAt: testNow };
        await put(store, "request", { ...request, status }, 1);
        assert.deepEqual(idsOf(await store.listPendingFor("apr_1")), [other.id]);
        assert.deepEqual(await store.listPendingFor("apr_2"), []);
      },
    );

  contractCase("listPendingFor follows changed candidates", async ({ store }) => {
    const request = aRequest({ candidates: ["apr_1", "apr_2", "apr_2"] });
    await put(store, "request", request, absent);
    assert.deepEqual(idsOf(await store.listPendingFor("apr_2")), [request.id]);
    const reassigned = { ...request, candidates: ["apr_2", "apr_3"] };
    await put(store, "request", reassigned, 1);
    assert.deepEqual(await store.listPendingFor("apr_1"), []);
    assert.deepEqual(await store.listPendingFor("apr_3"), [reassigned]);
    await commit(store, { delete: "request", id: request.id, ifVersion: 2 });
    assert.deepEqual(await store.listPendingFor("apr_3"), []);
    await put(store, "request", reassigned, absent);
    assert.deepEqual(await store.listPendingFor("apr_3"), [reassigned]);
  });

  contractCase(
    "listDecidedBy returns the decisions of an approver in any state, newest first",
    async ({ store }) => {
      const decision = aDecision({ approver: "apr_2" });
      const [approved, denied, lapsed, redeemed, others] = [
        aRequest({ status: { state: "approved", decision } }),
        aRequest({ status: { state: "denied", decision, endedAt: testNow } }),
        aRequest({ status: { state: "lapsed", decision, endedAt: testNow } }),
        aRequest({ status: { state: "redeemed", decision, endedAt: testNow, token: "tok_1" } }),
        aRequest({ status: { state: "approved", decision: aDecision() } }),
      ] as const;
      await putAll(store, "request", [lapsed, approved, others, redeemed, denied, aRequest()]);
      assert.deepEqual(await store.listDecidedBy("apr_2", 9), [redeemed, lapsed, denied, approved]);
      assert.deepEqual(idsOf(await store.listDecidedBy("apr_2", 2)), [redeemed.id, lapsed.id]);
    },
  );

  contractCase(
    "listRequests returns requests newest first, optionally by stored state",
    async ({ store }) => {
      const cancelled = { state: "cancelled", endedAt: testNow } as const;
      const [first, second, third] = [aRequest(), aRequest({ status: cancelled }), aRequest()] as const;
      await putAll(store, "request", [second, third, first]);
      assert.deepEqual(await store.listRequests({ limit: 9 }), [third, second, first]);
      assert.deepEqual(await store.listRequests({ limit: 1 }), [third]);
      assert.deepEqual(await store.listRequests({ state: "pending", limit: 9 }), [third, first]);
      assert.deepEqual(await store.listRequests({ state: "pending", limit: 1 }), [third]);
      assert.deepEqual(await store.listRequests({ state: "denied", limit: 9 }), []);
    },
  );

  contractCase("countPending counts pending requests of an agent that are not expired", async ({ store }) => {
    const cancelled = { state: "cancelled", endedAt: testNow } as const;
    const [sooner, later] = [aRequest({ expiresAt: testNow + 10 }), aRequest({ expiresAt: testNow + 20 })];
    const others = [aRequest({ agent: "agent_2" }), aRequest({ status: cancelled })];
    await putAll(store, "request", [sooner, later, ...others]);
    const counts = [testNow + 9, testNow + 10, testNow + 20].map((now) => store.countPending("agent_1", now));
    assert.deepEqual(await Promise.all(counts), [2, 1, 0]);
  });

  contractCase(
    "listPendingCreatedAt returns the creation times of pending requests, oldest first",
    async ({ store }) => {
      const cancelled = { state: "cancelled", endedAt: testNow } as const;
      const at = [testNow + 1, testNow + 2, testNow + 3].map((createdAt) =>
        aRequest({ createdAt, agent: `a${createdAt}` }),
      );
      const over = [aRequest({ status: cancelled }), aRequest({ expiresAt: testNow })];
      await putAll(store, "request", [at[1]!, ...over, at[0]!, at[2]!]);
      assert.deepEqual(await store.listPendingCreatedAt(testNow, 9), [testNow + 1, testNow + 2, testNow + 3]);
      assert.deepEqual(await store.listPendingCreatedAt(testNow, 2), [testNow + 1, testNow + 2]);
    },
  );

  contractCase("listAbandonedMessages returns abandoned messages, newest first", async ({ store }) => {
    const [first, , third] = (["abandoned", "sent", "abandoned", "queued"] as const).map((state) =>
      aMessage({ state }),
    );
    await putAll(store, "message", [third!, aMessage({ state: "sent" }), first!]);
    assert.deepEqual(await store.listAbandonedMessages(9), [third, first]);
    assert.deepEqual(await store.listAbandonedMessages(1), [third]);
  });

  contractCase("listAbandonedCallbacks returns abandoned callbacks, newest first", async ({ store }) => {
    const [first, , third] = (["abandoned", "queued", "abandoned", "idle"] as const).map((state) =>
      aCallback({ state }),
    );
    await putAll(store, "callback", [third!, aCallback({ state: "queued" }), first!]);
    assert.deepEqual(await store.listAbandonedCallbacks(9), [third, first]);
    assert.deepEqual(await store.listAbandonedCallbacks(1), [third]);
  });
}
