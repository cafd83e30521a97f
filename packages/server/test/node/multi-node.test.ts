/**
 * Two servers over one PostgreSQL: what one of them writes the other's waiting polls and inboxes hear of, also where the
 * notification was lost; and what has to leave, leaves through one of them.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { createIntactRequest } from "@countersign/testing/audit/action-fixture";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import {
  type CallbackAgent,
  type CallbackHarness,
  createCallbackHarness,
} from "@countersign/testing/server/callback-harness";
import { issuer, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { formatConfig } from "@countersign/testing/server/edit-config";
import postgres from "postgres";
import type { Resolution } from "../../src/channel/channel.ts";
import { parseConfig } from "../../src/config/config.ts";
import { deliver } from "../../src/job/deliver-message.ts";
import { watchForUpdates } from "../../src/job/schedule-updates.ts";
import { createServer, type Server } from "../../src/server.ts";
import {
  aContact,
  aMessage,
  anAgent,
  anApprover,
  anEntry,
  testNow,
} from "../../src/store/contract/fixture.ts";
import { openPostgres } from "../../src/store/postgres/postgres.ts";
import { absent, type ChangeEvent, type Store } from "../../src/store/store.ts";

/** Less than the safety poll of five seconds, whatever else the machine does. */
const promptMs = 4_000;

let database: PostgresServer;
let harness: CallbackHarness;
let here: Server;
let there: Server;
let polling: CallbackAgent;
const faults: unknown[] = [];

before(async () => {
  database = await startPostgres();
  harness = await createCallbackHarness(database.url);
  here = harness.deployment.server;
  const read = parseConfig(formatConfig(harness.deployment.config), `${harness.deployment.file}.yaml`);
  assert.ok("config" in read);
  there = await createServer({
    config: read.config,
    rootKey: harness.deployment.rootKey,
    onFault: (fault) => faults.push(fault),
    jobIntervalMs: 3_600_000,
  });
  polling = await harness.registerAgent("polling", "poll");
});
after(async () => {
  await there?.close();
  try {
    await harness?.close();
  } finally {
    await database?.discard();
  }
  assert.deepEqual(faults, []);
});

/** A poll that the other node holds until there is something to say. */
async function held(authReqId: string): Promise<{ readonly answering: Promise<Response> }> {
  const request = new Request(`${issuer}/oauth/token`, {
    method: "POST",
    headers: { ...toBasicAuth(polling), prefer: "wait=30" },
    body: new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: authReqId }),
  });
  const answering = Promise.resolve(there.fetch(request));
  const early = await Promise.race([answering, new Promise((resolve) => setTimeout(resolve, 200))]);
  assert.equal(early, undefined, "it is held");
  return { answering };
}

/** Ada's inbox on the other node; `next` resolves when it says that something changed. */
async function inbox() {
  const leaving = new AbortController();
  const answer = await there.fetch(
    new Request(`${issuer}/inbox/events`, {
      headers: { cookie: harness.ada.cookie },
      signal: leaving.signal,
    }),
  );
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  return {
    next: async () => {
      for (;;) {
        const { value, done } = await reader.read();
        assert.ok(!done);
        if (value.includes("event: inbox")) return;
      }
    },
    leave: () => leaving.abort(),
  };
}

async function promptly<T>(what: Promise<T>): Promise<T> {
  const late = Symbol();
  let timer: NodeJS.Timeout | undefined;
  const first = await Promise.race([
    what,
    new Promise<typeof late>((resolve) => {
      timer = setTimeout(resolve, promptMs, late);
    }),
  ]);
  clearTimeout(timer);
  assert.notEqual(first, late, `not woken within ${promptMs} ms`);
  return first as T;
}

describe("change notifications", () => {
  test("wake the inbox and the waiting poll of another node", async () => {
    const heard: ChangeEvent[] = [];
    const stop = there.store.watch((wake) => heard.push(wake));
    const ada = await inbox();
    try {
      const first = ada.next();
      const { auth_req_id } = (await polling.ask()).body;
      await promptly(first);
      const { answering } = await held(auth_req_id);
      const changed = ada.next();
      await harness.ada.decide(toRequestId(auth_req_id), "approve");
      const [answer] = await promptly(Promise.all([answering, changed]));
      assert.equal(answer.status, 200);
      const id = toRequestId(auth_req_id);
      const told = heard.map((wake) => wake && [wake.requestId, wake.state, wake.remote]);
      assert.deepEqual(told.slice(0, 2), [
        [id, "pending", true],
        [id, "approved", true],
      ]);
    } finally {
      ada.leave();
      stop();
    }
  });

  test("wake them after a lost connection, as soon as the node listens again", async () => {
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    const outside = postgres(database.url.replace(/postgres$/, "template1"), { max: 1, onnotice: () => {} });
    await sql`SELECT 1`;
    const heard: ChangeEvent[] = [];
    const stop = there.store.watch((wake) => heard.push(wake));
    const ada = await inbox();
    try {
      const { auth_req_id } = (await polling.ask()).body;
      const { answering } = await held(auth_req_id);
      // Connections that are there are enough for the decision; nobody makes a new one while it is written.
      await Promise.all(Array.from({ length: 12 }, () => here.store.read("agent", "nobody")));
      await ada.next();
      await outside`ALTER DATABASE postgres ALLOW_CONNECTIONS false`;
      const ended = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'countersign' AND query LIKE 'LISTEN%'`;
      assert.equal(ended.length, 2, "both nodes listened, and neither does now");
      heard.length = 0;
      const changed = ada.next();
      const decided = await harness.ada.decide(toRequestId(auth_req_id), "approve");
      assert.equal(decided.status, 303);
      assert.deepEqual(heard, []);
      await outside`ALTER DATABASE postgres ALLOW_CONNECTIONS true`;
      const [answer] = await promptly(Promise.all([answering, changed]));
      assert.equal(answer.status, 200);
      assert.equal(heard[0], undefined, "told to look, not what at");
    } finally {
      await outside`ALTER DATABASE postgres ALLOW_CONNECTIONS true`;
      await Promise.all([sql.end(), outside.end()]);
      ada.leave();
      stop();
    }
  });
});

describe("jobs of several nodes", () => {
  test("send each callback from one node", async () => {
    const pinged = await harness.registerAgent("pinged", "ping");
    harness.receiver.received.length = 0;
    const requests: string[] = [];
    for (let n = 0; n < 12; n += 1) requests.push((await pinged.ask()).body.auth_req_id);
    // Slow enough that whoever did not know of the other would be at it as well.
    harness.receiver.respond = (response) => void setTimeout(() => response.writeHead(204).end(), 60);
    let over = false;
    const rounds = [here, there].map(async (server) => {
      while (!over) await server.runJobs();
    });
    for (const authReqId of requests) await harness.ada.decide(toRequestId(authReqId), "approve");
    await harness.receiver.waitForCount(requests.length);
    over = true;
    await Promise.all(rounds);
    const told = harness.receiver.received.map(({ body }) => JSON.parse(body).auth_req_id as string);
    assert.deepEqual(told.sort(), [...requests].sort());
    for (const authReqId of requests) {
      const entries = await harness.readEntries(toRequestId(authReqId));
      assert.equal(entries.filter(({ event }) => event === "callback.sent").length, 1);
      assert.ok(entries.every(({ event }) => event !== "callback.failed"));
    }
  });

  test("send each message from one node; messages of a dead node are sent by another", async () => {
    const nodes: Store[] = [];
    for (let n = 0; n < 4; n += 1)
      nodes.push(
        await openPostgres({ url: database.url, schema: "outbox", create: true, maxConnections: 3 }),
      );
    const [dying, ...rest] = nodes as [Store, ...Store[]];
    try {
      const messages = await smtpInbox(dying, 120);
      const sent: string[] = [];
      const channel = {
        contacts: "email" as const,
        send: async ({ messageId }: { readonly messageId: string }) => {
          sent.push(messageId);
          await new Promise((resolve) => setTimeout(resolve, 5));
          return undefined;
        },
      };
      const channels = new Map([["mail", channel]]);
      const taken = (await dying.claim("message", { limit: 20 })).map(({ record }) => record);
      await dying.close();
      const untilQuiet = async (store: Store) => {
        for (let idle = 0; idle < 5; ) idle = (await deliver({ store, channels })) === 0 ? idle + 1 : 0;
      };
      await Promise.all(rest.map(untilQuiet));
      const left = new Set(taken.map(({ id }) => id));
      assert.deepEqual([...sent].sort(), messages.filter((id) => !left.has(id)).sort(), "leased is leased");
      sent.length = 0;
      // The lease ends: the database's clock cannot be moved, and so the lease is.
      for (const record of taken)
        await rest[0]!.commitUnlogged({
          writes: [{ put: "message", record: { ...record, dueAt: testNow }, ifVersion: 2 }],
        });
      await Promise.all(rest.map(untilQuiet));
      assert.deepEqual([...sent].sort(), [...left].sort());
      const entries = await rest[0]!.log.newest(500);
      const logged = entries.filter(({ line }) => JSON.parse(line).event === "message.sent");
      assert.equal(logged.length, messages.length);
    } finally {
      await Promise.all(nodes.map((node) => node.close()));
    }
  });

  test("send all due messages if the channel is fast, and claim no more if it is slow", async () => {
    const store = await openPostgres({
      url: database.url,
      schema: "rounds",
      create: true,
      maxConnections: 3,
    });
    try {
      await smtpInbox(store, 90);
      const send = async () => undefined;
      const channels = new Map([["mail", { contacts: "email" as const, send }]]);
      // Each look at the clock finds it a second later: as slow as that is the channel.
      let later = 0;
      const slow = {
        ...store,
        now: () => {
          later += 1_000;
          return store.now() + later;
        },
      };
      assert.equal(await deliver({ store: slow, channels }), 20);
      const at = store.now();
      const quick = { ...store, now: () => at };
      assert.equal(await deliver({ store: quick, channels }), 70);
    } finally {
      await store.close();
    }
  });

  test("update a message that another node sent when its request ends, once", async () => {
    const [sender, decider] = [
      await openPostgres({ url: database.url, schema: "updates", create: true, maxConnections: 3 }),
      await openPostgres({ url: database.url, schema: "updates", create: true, maxConnections: 3 }),
    ];
    const faults: unknown[] = [];
    const stop = watchForUpdates(decider, (fault) => faults.push(fault));
    try {
      const ids = await smtpInbox(sender, 30);
      const updated: string[] = [];
      const channel = {
        contacts: "registered" as const,
        send: async (_: unknown, { address }: { readonly address: string }) => ({ to: address }),
        update: async ({ to }: { readonly to?: unknown }, { messageId, outcome }: Resolution) => {
          updated.push(`${messageId} ${to} ${outcome}`);
        },
      };
      const channels = new Map([["mail", channel]]);
      const [message] = await sender.list("message");
      const { approver, requestId } = message!.record;
      const contact = aContact({ approver, channel: "mail", address: "phone" });
      await sender.commit({
        writes: [{ put: "contact", record: contact, ifVersion: absent }],
        entries: [anEntry()],
      });
      while ((await deliver({ store: sender, channels })) > 0);
      assert.equal((await sender.listMessagesAwaiting(requestId)).length, ids.length);
      const request = (await decider.read("request", requestId))!;
      const ended = { ...request.record, status: { state: "cancelled", endedAt: testNow } } as const;
      await decider.commit({
        writes: [{ put: "request", record: ended, ifVersion: request.version }],
        entries: [anEntry()],
      });
      const untilUpdated = async (store: Store) => {
        while (updated.length < ids.length) await deliver({ store, channels });
      };
      await Promise.all([untilUpdated(sender), untilUpdated(decider)]);
      assert.deepEqual([...updated].sort(), ids.map((id) => `${id} phone cancelled`).sort());
      assert.deepEqual(faults, []);
    } finally {
      stop();
      await Promise.all([sender.close(), decider.close()]);
    }
  });
});

/** Messages about one request that waits. Answers their ids. */
async function smtpInbox(store: Store, count: number): Promise<readonly string[]> {
  const [agent, approver] = [anAgent(), anApprover()];
  const expiresAt = store.now() + 3_600_000;
  const { request, actionType } = createIntactRequest({ agent: agent.id, expiresAt, decideBy: expiresAt });
  const writes = [
    { put: "agent", record: agent, ifVersion: absent },
    { put: "approver", record: approver, ifVersion: absent },
    { put: "action_type", record: actionType, ifVersion: absent },
    { put: "request", record: request, ifVersion: absent },
  ] as const;
  await store.commit({ writes, entries: [anEntry()] });
  const about = { requestId: request.id, approver: approver.id };
  const messages = Array.from({ length: count }, () => aMessage(about));
  await Promise.all(
    messages.map((record) =>
      store.commitUnlogged({ writes: [{ put: "message", record, ifVersion: absent }] }),
    ),
  );
  return messages.map(({ id }) => id);
}
