import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createIntactRequest } from "@countersign/testing/audit/action-fixture";
import { DeliveryError, type OpenChannel } from "../channel/channel.ts";
import type { ApprovalRequest, RequestStatus } from "../domain/request/request.ts";
import {
  aContact,
  aDecision,
  aMessage,
  anAgent,
  anApprover,
  anEntry,
  testNow,
} from "../store/contract/fixture.ts";
import type { Contact } from "../store/record/contact.ts";
import type { Message } from "../store/record/message.ts";
import { openSqlite } from "../store/sqlite/sqlite.ts";
import { absent, type Store, type Write } from "../store/store.ts";
import { deliver } from "./deliver-message.ts";
import { scheduleMissedUpdates, watchForUpdates } from "./schedule-updates.ts";

const approver = anApprover({ email: "ada@example.com" });
const agent = anAgent();
const { request, actionType } = createIntactRequest({ agent: agent.id, candidates: [approver.id] });

let now: number;
let store: Store;
beforeEach(async () => {
  now = testNow;
  store = openSqlite({ path: ":memory:", clock: () => now });
  await put(
    { put: "approver", record: approver, ifVersion: absent },
    { put: "agent", record: agent, ifVersion: absent },
    { put: "action_type", record: actionType, ifVersion: absent },
    { put: "request", record: request, ifVersion: absent },
  );
});
afterEach(() => store.close());

async function put(...writes: Write[]): Promise<void> {
  assert.equal(await store.commit({ writes, entries: [anEntry()] }), "committed");
}

async function queue(overrides: Partial<Message> = {}): Promise<Message> {
  const record = aMessage({
    channel: "chat",
    requestId: request.id,
    approver: approver.id,
    dueAt: now,
    ...overrides,
  });
  await store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] });
  return record;
}

async function resolve(status: RequestStatus = { state: "cancelled", endedAt: now }): Promise<void> {
  await put({ put: "request", record: { ...request, status }, ifVersion: 1 });
}

type Call = { readonly what: "send" | "update"; readonly to: unknown; readonly outcome?: string };

/** A channel that records its calls and fails as long as `failures` has errors. */
function openFakeChannel(options: Partial<OpenChannel> = {}) {
  const calls: Call[] = [];
  const failures: unknown[] = [];
  const fail = () => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
  };
  const channel: OpenChannel = {
    contacts: "email",
    async send(_, { address }) {
      calls.push({ what: "send", to: address });
      fail();
      return { sentTo: address };
    },
    async update(receipt, { outcome }) {
      calls.push({ what: "update", to: receipt.sentTo, outcome });
      fail();
    },
    check: async () => [],
    close: () => {},
    ...options,
  };
  return { calls, failures, run: () => deliver({ store, channels: new Map([["chat", channel]]) }) };
}

const readMessage = async (id: string) => (await store.read("message", id))?.record;
const events = async () =>
  (await store.log.newest(99))
    .map(({ line }) => JSON.parse(line))
    .filter(({ event }) => event !== "store.tested");

describe("deliver", () => {
  test("sends the message of a channel without update once, and queues no more", async () => {
    const { calls, run } = openFakeChannel({ update: undefined as never });
    const { id } = await queue();
    assert.equal(await run(), 1);
    assert.deepEqual(calls, [{ what: "send", to: "ada@example.com" }]);
    const sent = await readMessage(id);
    assert.deepEqual([sent?.state, sent?.kind, sent?.receipt], ["sent", "requested", undefined]);
    await resolve();
    assert.deepEqual(await store.listMessagesAwaiting(request.id), []);
    assert.equal(await run(), 0);
  });

  test("queues a message with a receipt as an update, due when the request expires", async () => {
    const { run } = openFakeChannel();
    const { id } = await queue({ lastError: "earlier", attempts: 2 });
    await run();
    const update = await readMessage(id);
    assert.deepEqual(update, {
      id,
      kind: "resolved",
      channel: "chat",
      requestId: request.id,
      approver: approver.id,
      attempts: 0,
      state: "queued",
      dueAt: request.expiresAt,
      receipt: { sentTo: "ada@example.com" },
    });
    const [entry] = await events();
    assert.equal(entry.event, "message.sent");
    assert.deepEqual(entry.facts, { channel: "chat", attempts: 3, kind: "requested" });
    assert.equal(await run(), 0, "not before the request ends");
  });

  const outcomes: readonly RequestStatus[] = [
    { state: "approved", decision: aDecision() },
    { state: "denied", decision: aDecision(), endedAt: testNow },
    { state: "cancelled", endedAt: testNow },
  ];
  for (const status of outcomes)
    test(`updates each sent message at once for a request that is ${status.state}`, async () => {
      const { calls, run } = openFakeChannel();
      const faults: unknown[] = [];
      const stop = watchForUpdates(store, (fault) => faults.push(fault));
      const ids = [(await queue()).id, (await queue()).id];
      await run();
      await resolve(status);
      // The event is handled in the background.
      while ((await run()) === 0) await new Promise((done) => setImmediate(done));
      while (calls.length < 4) await run();
      stop();
      assert.deepEqual(faults, []);
      const update = { what: "update", to: "ada@example.com", outcome: status.state } as const;
      assert.deepEqual(calls.slice(2), [update, update]);
      for (const id of ids) {
        const done = await readMessage(id);
        assert.deepEqual([done?.kind, done?.state], ["resolved", "sent"]);
      }
      const sent = (await events()).filter(({ event }) => event === "message.sent");
      assert.deepEqual(
        sent.map(({ facts }) => facts.kind),
        ["resolved", "resolved", "requested", "requested"],
      );
      assert.equal(await run(), 0, "updated once");
    });

  test("updates the messages of a request that expires by the clock before the sweeper runs", async () => {
    const { calls, run } = openFakeChannel();
    await queue();
    await run();
    now = request.expiresAt;
    await run();
    assert.deepEqual(calls[1], { what: "update", to: "ada@example.com", outcome: "expired" });
  });

  for (const state of ["redeemed", "lapsed"] as const)
    test(`reports an approval that is ${state} before the update as approved`, async () => {
      const { calls, run } = openFakeChannel();
      await queue();
      await run();
      const ended = { decision: aDecision(), endedAt: now };
      await resolve(state === "redeemed" ? { state, ...ended, token: "tok_1" } : { state, ...ended });
      await scheduleMissedUpdates(store);
      await run();
      assert.deepEqual(calls[1], { what: "update", to: "ada@example.com", outcome: "approved" });
    });

  test("makes up for a missed event by the periodic job", async () => {
    const { calls, run } = openFakeChannel();
    const { id } = await queue();
    await run();
    await scheduleMissedUpdates(store);
    assert.equal((await readMessage(id))?.dueAt, request.expiresAt, "the request is pending");
    await resolve();
    assert.equal(await run(), 0);
    await scheduleMissedUpdates(store);
    await run();
    assert.deepEqual(calls[1], { what: "update", to: "ada@example.com", outcome: "cancelled" });
  });

  test("updates a request that ends while its message is being sent", async () => {
    const { calls, run } = openFakeChannel({
      async send(_, { address }) {
        await resolve();
        return { sentTo: address };
      },
    });
    await queue();
    await run();
    await run();
    assert.deepEqual(calls, [{ what: "update", to: "ada@example.com", outcome: "cancelled" }]);
  });

  test("retries an update with backoff, not early, and abandons it visibly", async () => {
    const { calls, failures, run } = openFakeChannel();
    const { id } = await queue();
    await run();
    await resolve();
    await scheduleMissedUpdates(store);
    failures.push(...Array.from({ length: 9 }, () => new Error("chat is down")));
    for (const delay of [0, 2_000, 10_000, 30_000, 60_000, 300_000]) {
      now += delay;
      await scheduleMissedUpdates(store);
      assert.equal(await run(), 1, `after ${delay} ms`);
      assert.equal(await run(), 0);
      await scheduleMissedUpdates(store);
      assert.equal(await run(), 0);
    }
    assert.equal(calls.filter(({ what }) => what === "update").length, 6);
    const abandoned = await readMessage(id);
    assert.deepEqual([abandoned?.state, abandoned?.lastError], ["abandoned", "chat is down"]);
    const [entry] = await events();
    assert.equal(entry.event, "message.abandoned");
    assert.equal(entry.facts.kind, "resolved");
  });

  test("does not retry a rejected message", async () => {
    const { calls, failures, run } = openFakeChannel();
    failures.push(new DeliveryError("rejected", "message too large"));
    const { id } = await queue();
    await run();
    assert.deepEqual(calls.length, 1);
    assert.deepEqual((await readMessage(id))?.state, "abandoned");
    assert.deepEqual((await store.listAbandonedMessages(9))[0]?.lastError, "message too large");
    now += 600_000;
    assert.equal(await run(), 0);
  });

  test("retries a temporary failure after the delay that the channel requests, at most one hour", async () => {
    const { failures, run } = openFakeChannel();
    const { id } = await queue();
    const delays = [
      [0, 2_000],
      [45_000.5, 45_001],
      [1e12, 3_600_000],
    ] as const;
    for (const [retryAfterMs, expectedMs] of delays) {
      failures.push(new DeliveryError("temporary", "rate limited", { retryAfterMs }));
      await run();
      assert.equal((await readMessage(id))?.dueAt, now + expectedMs);
      const retry = await store.read("message", id);
      await store.commitUnlogged({
        writes: [{ put: "message", record: { ...retry!.record, dueAt: now }, ifVersion: retry!.version }],
      });
    }
  });

  test("abandons a message at once if its e-mail address is gone", async () => {
    const { calls, failures, run } = openFakeChannel();
    failures.push(new DeliveryError("address_gone", "no such user"));
    const { id } = await queue();
    await run();
    assert.equal(calls.length, 1);
    assert.equal((await readMessage(id))?.state, "abandoned");
    assert.ok((await events()).every(({ event }) => event !== "contact.disabled"));
  });
});

describe("deliver to registered contacts", () => {
  async function addContacts(...contacts: readonly Partial<Contact>[]): Promise<readonly Contact[]> {
    const records = contacts.map((overrides) => aContact({ approver: approver.id, ...overrides }));
    await put(...records.map((record) => ({ put: "contact" as const, record, ifVersion: absent })));
    return records;
  }

  test("sends each contact of the approver for the channel its own message", async () => {
    const { calls, run } = openFakeChannel({ contacts: "registered" });
    const [first, , second] = await addContacts(
      { address: "phone" },
      { address: "elsewhere", channel: "sms" },
      { address: "laptop" },
      { address: "old", disabledAt: testNow },
      { address: "not hers", approver: "apr_other" },
    );
    await queue();
    await run();
    await run();
    assert.deepEqual(calls.map(({ to }) => to).sort(), ["laptop", "phone"]);
    const updates = await store.listMessagesAwaiting(request.id);
    assert.deepEqual(updates.map(({ record }) => record.contact).sort(), [first!.id, second!.id].sort());
  });

  test("skips an approver without a contact, without an entry in the log", async () => {
    const { calls, run } = openFakeChannel({ contacts: "registered" });
    const { id } = await queue();
    await run();
    assert.deepEqual(calls, []);
    assert.equal(await readMessage(id), undefined);
    assert.deepEqual(await events(), []);
  });

  test("disables the contact of an address that is gone, abandons its messages, sends to others", async () => {
    const { calls, failures, run } = openFakeChannel({ contacts: "registered" });
    const [gone] = await addContacts({ address: "expired" }, { address: "phone" });
    const { id } = await queue();
    failures.push(new DeliveryError("address_gone", "410 Gone"));
    await run();
    await run();
    assert.deepEqual(
      calls.map(({ to }) => to),
      ["expired", "phone"],
    );
    const contact = (await store.read("contact", gone!.id))?.record;
    assert.deepEqual([contact?.disabledAt, contact?.disabledReason], [now, "410 Gone"]);
    assert.equal((await readMessage(id))?.state, "abandoned");
    const entry = (await events()).find(({ event }) => event === "contact.disabled");
    assert.deepEqual(entry.facts, { contact: gone!.id, channel: "chat" });
    assert.equal(entry.approver, approver.id);

    const late = await queue({ contact: gone!.id });
    await queue();
    await run();
    assert.match((await readMessage(late.id))?.lastError ?? "", /removed or disabled/);
    assert.deepEqual(
      calls.slice(2).map(({ to }) => to),
      ["phone"],
    );
  });

  test("retries to the same contact, without more messages", async () => {
    const { calls, failures, run } = openFakeChannel({ contacts: "registered" });
    await addContacts({ address: "phone" }, { address: "laptop" });
    failures.push(new Error("timeout"));
    await queue();
    await run();
    await run();
    now += 2_000;
    await run();
    assert.deepEqual(
      calls.map(({ to }) => to),
      ["phone", "laptop", "phone"],
    );
    assert.equal((await store.list("message")).length, 2);
  });

  test("sends an update although the approver was removed", async () => {
    const { calls, run } = openFakeChannel({ contacts: "registered" });
    await addContacts({ address: "phone" });
    await queue();
    await run();
    await put({ delete: "approver", id: approver.id, ifVersion: 1 });
    const ended: ApprovalRequest = { ...request, status: { state: "cancelled", endedAt: now } };
    await put({ put: "request", record: ended, ifVersion: 1 });
    await scheduleMissedUpdates(store);
    await run();
    assert.deepEqual(calls[1], { what: "update", to: "phone", outcome: "cancelled" });
  });
});
