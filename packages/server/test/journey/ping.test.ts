import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import {
  type CallbackAgent,
  createNotificationToken,
  useCallbackHarness,
} from "@countersign/testing/server/callback-harness";
import { toRequestId } from "@countersign/testing/server/deployment";
import { formatConfig } from "@countersign/testing/server/edit-config";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { parseConfig } from "../../src/config/config.ts";
import { leaseMs } from "../../src/domain/callback/callback.ts";
import { createServer } from "../../src/server.ts";
import { removeClient } from "../../src/usecase/client/client-lifecycle.ts";
import { cancelRequest } from "../../src/usecase/request/cancel.ts";

const harness = useCallbackHarness();
let agent: CallbackAgent;

beforeTests(async () => {
  agent = await harness.registerAgent("pinged", "ping");
});
/** What an earlier test asked and nobody answered has expired and been told. */
beforeEach(async () => {
  harness.receiver.respond = (response) => response.writeHead(204).end();
  await harness.advance(700_000);
  harness.receiver.received.length = 0;
});

async function asked(changed?: Record<string, string | undefined>, headers?: Record<string, string>) {
  const { status, body } = await agent.ask(changed, headers);
  assert.equal(status, 200, JSON.stringify(body));
  return { authReqId: body.auth_req_id as string, request: toRequestId(body.auth_req_id) };
}

const events = async (request: string) => (await harness.readEntries(request)).map(({ event }) => event);
const callbackOf = async (request: string) =>
  (await harness.deployment.server.store.read("callback", request))?.record;

describe("ping delivery", () => {
  test("sends auth_req_id and the notification token, and nothing else, at the decision", async () => {
    const token = createNotificationToken();
    const { authReqId, request } = await asked({ client_notification_token: token });
    await harness.ada.decide(request, "approve");
    // No round has been made.
    await harness.receiver.waitForCount(1);
    const [ping] = harness.receiver.received;
    assert.deepEqual([ping?.method, ping?.path], ["POST", "/cb"]);
    assert.equal(ping?.headers.authorization, `Bearer ${token}`);
    assert.equal(ping?.headers["content-type"], "application/json");
    assert.deepEqual(JSON.parse(ping?.body ?? ""), { auth_req_id: authReqId });

    const { status, body } = await agent.poll(authReqId);
    assert.equal(status, 200, JSON.stringify(body));
    await harness.advance(0);
    const sent = (await harness.readEntries(request)).find(({ event }) => event === "callback.sent");
    assert.deepEqual(sent?.facts, { mode: "ping", attempt: 1, status: 204 });
    assert.equal(await callbackOf(request), undefined);
  });

  test("sends a ping on denial, cancellation and expiry as well, and never before (T23)", async () => {
    const [denied, cancelled, expired] = [
      await asked(),
      await asked(),
      await asked({ requested_expiry: "10" }),
    ];
    await harness.advance(0);
    assert.equal(harness.receiver.received.length, 0);
    await harness.ada.decide(denied.request, "deny");
    await cancelRequest(harness.deployment.server.store, cancelled.request);
    await harness.advance(10_000);
    const told = harness.receiver.received.map(({ body }) => JSON.parse(body).auth_req_id);
    assert.deepEqual(told.sort(), [denied, cancelled, expired].map(({ authReqId }) => authReqId).sort());
    for (const [one, error] of [
      [denied, "access_denied"],
      [cancelled, "access_denied"],
      [expired, "expired_token"],
    ] as const)
      assert.equal((await agent.poll(one.authReqId)).body.error, error);
  });

  test("allows polling as well, and returns the interval", async () => {
    const { status, body } = await agent.ask();
    assert.deepEqual([status, body.interval], [200, 5]);
    assert.equal((await agent.poll(body.auth_req_id)).body.error, "authorization_pending");
  });

  test("requires a client_notification_token of valid characters and length (T57)", async () => {
    const bad = [
      "",
      "a",
      "short",
      "a".repeat(21),
      `${"a".repeat(21)}====`,
      `${"a".repeat(30)} b`,
      `${"a".repeat(30)}\r\nx: y`,
    ];
    for (const token of [
      undefined,
      ...bad,
      "ä".repeat(30),
      "a".repeat(1025),
      `=${"a".repeat(30)}`,
      `${"a".repeat(30)}=b`,
    ]) {
      const { status, body } = await agent.ask({ client_notification_token: token });
      assert.deepEqual([status, body.error], [400, "invalid_request"], JSON.stringify(token));
    }
    for (const token of ["a".repeat(22), "a".repeat(1024), `${"aZ09-._~+/".repeat(3)}==`])
      assert.equal((await agent.ask({ client_notification_token: token })).status, 200, token);
  });

  test("ignores the client_notification_token of an agent that polls", async () => {
    const polls = await harness.registerAgent("polls", "poll");
    const { status, body } = await polls.ask({ client_notification_token: "x" });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(await callbackOf(toRequestId(body.auth_req_id)), undefined);
  });

  test("stores the notification token encrypted, and never logs it", async () => {
    const token = createNotificationToken();
    const { request } = await asked({ client_notification_token: token });
    assert.ok(!JSON.stringify(await callbackOf(request)).includes(token));
    assert.ok(!JSON.stringify(await harness.readEntries(request)).includes(token));
  });

  test("uses the notification token of the latest request for the same action", async () => {
    const authorization_details = JSON.stringify([{ type: "rollout", service: "asked-twice" }]);
    const { request } = await asked({ authorization_details });
    const token = createNotificationToken();
    const { status, body } = await agent.ask({ authorization_details, client_notification_token: token });
    assert.deepEqual([status, body.joined, toRequestId(body.auth_req_id)], [200, true, request]);
    await harness.ada.decide(request, "deny");
    await harness.receiver.waitForCount(1);
    assert.equal(harness.receiver.received[0]?.headers.authorization, `Bearer ${token}`);
  });

  test("sends the ping again if the agent repeats the request after losing the response", async () => {
    const authorization_details = JSON.stringify([{ type: "rollout", service: "lost" }]);
    const key = { "idempotency-key": "lost-1" };
    const first = await asked({ authorization_details }, key);
    await harness.ada.decide(first.request, "approve");
    await harness.advance(0);
    assert.equal(harness.receiver.received.length, 1);
    const token = createNotificationToken();
    const again = await asked({ authorization_details, client_notification_token: token }, key);
    assert.equal(again.authReqId, first.authReqId);
    await harness.advance(0);
    assert.deepEqual(
      harness.receiver.received.map(({ headers }) => headers.authorization === `Bearer ${token}`),
      [false, true],
    );
    assert.equal((await agent.poll(first.authReqId)).status, 200);
  });

  test("retries at once with a token that replaces one being rejected", async () => {
    const authorization_details = JSON.stringify([{ type: "rollout", service: "raced" }]);
    const { request } = await asked({ authorization_details });
    const token = createNotificationToken();
    harness.receiver.respond = (response, { headers }) => {
      if (headers.authorization === `Bearer ${token}`) return void response.writeHead(204).end();
      // It has restarted, and asks again before it answers for the token that it has forgotten.
      void agent
        .ask({ authorization_details, client_notification_token: token })
        .then(() => response.writeHead(401).end());
    };
    await harness.ada.decide(request, "approve");
    await harness.receiver.waitForCount(1);
    await harness.deployment.server.runJobs();
    await harness.advance(0);
    assert.equal(harness.receiver.received.length, 2);
    assert.deepEqual((await events(request)).slice(2), ["callback.failed", "callback.sent"]);
  });

  test("retries with backoff if the endpoint fails, then abandons the ping and reports it", async () => {
    harness.receiver.respond = (response) => response.writeHead(503).end("try later");
    const { request } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.advance(0);
    for (const [tries, delay] of [
      [1, 1_000],
      [2, 5_000],
      [3, 20_000],
      [4, 60_000],
      [5, 300_000],
    ] as const) {
      await harness.advance(delay - 1);
      assert.equal(harness.receiver.received.length, tries);
      await harness.advance(1);
      assert.equal(harness.receiver.received.length, tries + 1);
    }
    await harness.advance(3_600_000);
    assert.equal(harness.receiver.received.length, 6);
    const [given] = await harness.deployment.server.store.listAbandonedCallbacks(1);
    assert.deepEqual(
      [given?.id, given?.attempts, given?.lastError],
      [request, 6, "the endpoint returned status 503"],
    );
    const told = (await harness.readEntries(request)).filter(({ event }) => event.startsWith("callback."));
    assert.deepEqual(
      told.map(({ event, facts }) => [event, facts?.attempt, facts?.status]),
      [
        ...[1, 2, 3, 4, 5].map((attempt) => ["callback.failed", attempt, 503]),
        ["callback.abandoned", 6, 503],
      ],
    );
  });

  test("retries after 429 and after a refused connection", async () => {
    harness.receiver.respond = (response) => response.writeHead(429).end();
    const { request } = await asked();
    await harness.ada.decide(request, "deny");
    await harness.advance(0);
    harness.receiver.respond = (response) => response.socket?.destroy();
    await harness.advance(1_000);
    harness.receiver.respond = (response) => response.writeHead(200).end("anything");
    await harness.advance(5_000);
    assert.deepEqual((await events(request)).slice(2), [
      "callback.failed",
      "callback.failed",
      "callback.sent",
    ]);
  });

  test("does not retry after the endpoint rejected the ping", async () => {
    for (const status of [400, 401, 403, 404, 410]) {
      harness.receiver.respond = (response) => response.writeHead(status).end();
      const { request } = await asked();
      await harness.ada.decide(request, "deny");
      await harness.advance(0);
      await harness.advance(600_000);
      assert.equal(harness.receiver.received.length, 1, String(status));
      assert.deepEqual((await events(request)).slice(2), ["callback.abandoned"]);
      harness.receiver.received.length = 0;
    }
  });

  test("does not follow a redirect, and abandons the ping (T36)", async () => {
    for (const status of [301, 302, 307, 308]) {
      harness.receiver.respond = (response, { path }) =>
        path === "/cb"
          ? response.writeHead(status, { location: "/inside" }).end()
          : response.writeHead(204).end();
      const { request } = await asked();
      await harness.ada.decide(request, "deny");
      await harness.advance(0);
      await harness.advance(600_000);
      assert.deepEqual(
        harness.receiver.received.map(({ path }) => path),
        ["/cb"],
      );
      assert.deepEqual((await events(request)).slice(2), ["callback.abandoned"]);
      harness.receiver.received.length = 0;
    }
  });

  test("does not delay pings to other endpoints if one is slow", async () => {
    const slow = await harness.registerAgent("slow", "ping", "/slow");
    harness.receiver.respond = (response, { path }) => {
      if (path !== "/slow") response.writeHead(204).end();
    };
    for (let n = 0; n < 12; n += 1) {
      const { body } = await slow.ask();
      await harness.ada.decide(toRequestId(body.auth_req_id), "deny");
    }
    // No more than so many at once, to one agent.
    await harness.receiver.waitForCount(8);
    const { request } = await asked();
    await harness.ada.decide(request, "deny");
    await harness.receiver.waitForCount(9);
    assert.deepEqual(
      harness.receiver.received.map(({ path }) => path),
      [...Array(8).fill("/slow"), "/cb"],
    );
    while (await callbackOf(request)) await new Promise((resolve) => setTimeout(resolve, 5));
    // Closing ends them; they are tried again when their leases have run out.
    harness.receiver.respond = (response) => response.writeHead(204).end();
    await harness.deployment.restart();
    await harness.advance(0);
    await harness.advance(leaseMs);
    assert.equal(harness.receiver.received.length, 9 + 12);
  });

  test("sends pending pings after a crash (T21)", async () => {
    harness.receiver.respond = () => {};
    const { request, authReqId } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.receiver.waitForCount(1);
    await harness.deployment.restart();
    harness.receiver.respond = (response) => response.writeHead(204).end();
    await harness.advance(leaseMs - 1);
    assert.equal(harness.receiver.received.length, 1);
    await harness.advance(1);
    assert.deepEqual(
      harness.receiver.received.map(({ body }) => JSON.parse(body)),
      [{ auth_req_id: authReqId }, { auth_req_id: authReqId }],
    );
    const sent = (await harness.readEntries(request)).at(-1);
    assert.deepEqual(
      [sent?.event, sent?.facts],
      ["callback.sent", { mode: "ping", attempt: 2, status: 204 }],
    );
  });

  test("sends from one of two servers on the same store", async (t) => {
    const read = parseConfig(formatConfig(harness.deployment.config), harness.deployment.file);
    assert.ok("config" in read);
    const second = await createServer({
      config: { ...read.config, store: harness.deployment.file },
      rootKey: harness.deployment.rootKey,
      onFault: (fault) => harness.deployment.faults.push(fault),
      clock: () => harness.deployment.clock.now,
      jobIntervalMs: 5,
    });
    t.after(() => second.close());
    const requests: string[] = [];
    for (let n = 0; n < 10; n += 1) {
      const { request } = await asked();
      requests.push(request);
      await harness.ada.decide(request, "deny");
      await harness.advance(0);
    }
    await second.runJobs();
    await harness.advance(0);
    assert.equal(harness.receiver.received.length, 10);
    for (const request of requests) assert.deepEqual((await events(request)).slice(2), ["callback.sent"]);
  });

  test("does not call an endpoint whose name resolves to a private address (T37)", async () => {
    const { request } = await asked();
    await harness.deployment.restart({ outbound: { allow_private: undefined } });
    await harness.ada.decide(request, "deny");
    await harness.advance(0);
    await harness.advance(600_000);
    assert.equal(harness.receiver.received.length, 0);
    assert.deepEqual((await events(request)).slice(2), ["callback.abandoned"]);
    const [given] = await harness.deployment.server.store.listAbandonedCallbacks(1);
    assert.match(
      given?.lastError ?? "",
      /^localhost resolves to (127\.0\.0\.1|::1), which is not a public address$/,
    );
    await harness.deployment.restart();
  });

  test("does not call an agent that was removed or changed its delivery mode", async () => {
    const { store } = harness.deployment.server;
    const gone = await harness.registerAgent("gone", "ping", "/gone");
    const polls = await harness.registerAgent("polls-now", "ping", "/polls");
    const requests: string[] = [];
    for (const one of [gone, polls]) requests.push(toRequestId((await one.ask()).body.auth_req_id));
    await removeClient(store, "agent", "gone");
    const held = (await store.read("agent", "polls-now"))!;
    const { operator } = await import("../../src/audit/actor.ts");
    const { newEntry } = await import("../../src/audit/new-entry.ts");
    await store.commit({
      writes: [
        { put: "agent", record: { ...held.record, delivery: { mode: "poll" } }, ifVersion: held.version },
      ],
      entries: [newEntry("agent.changed", store.now(), { actor: operator, agent: "polls-now" })],
    });
    for (const request of requests) await cancelRequest(store, request);
    await harness.advance(0);
    assert.equal(harness.receiver.received.length, 0);
    const problems = (await store.listAbandonedCallbacks(2)).map(({ lastError }) => lastError);
    assert.deepEqual(problems.sort(), [
      "the agent is no longer registered for ping",
      "the agent was removed",
    ]);
  });

  test("keeps abandoned pings for a month", async () => {
    harness.receiver.respond = (response) => response.writeHead(404).end();
    const { request } = await asked();
    await cancelRequest(harness.deployment.server.store, request);
    await harness.advance(0);
    await harness.advance(29 * 24 * 3_600_000);
    assert.equal((await callbackOf(request))?.state, "abandoned");
    await harness.advance(24 * 3_600_000);
    assert.equal(await callbackOf(request), undefined);
  });
});
