import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { beforeEach, describe, test } from "node:test";
import {
  type CallbackAgent,
  createNotificationToken,
  useCallbackHarness,
} from "@countersign/testing/server/callback-harness";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { decodeJwt } from "jose";
import { operator, toApproverActor } from "../../src/audit/actor.ts";
import { newEntry } from "../../src/audit/new-entry.ts";
import { leaseMs } from "../../src/domain/callback/callback.ts";
import { absent } from "../../src/store/store.ts";
import { pauseAgent } from "../../src/usecase/client/client-lifecycle.ts";
import { removeApprover } from "../../src/usecase/people/remove-approver.ts";
import { cancelRequest } from "../../src/usecase/request/cancel.ts";

const harness = useCallbackHarness();
let agent: CallbackAgent;

beforeTests(async () => {
  agent = await harness.registerAgent("pushed", "push");
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
  return { authReqId: body.auth_req_id as string, request: toRequestId(body.auth_req_id), body };
}

const pushes = () => harness.receiver.received.map(({ body }) => JSON.parse(body));
const store = () => harness.deployment.server.store;
/** What the log says after the decision. */
const afterDecision = async (request: string) =>
  (await harness.readEntries(request)).slice(2).map(({ event }) => event);

async function tokenOf(body: { readonly access_token: string }) {
  return (await store().read("token", hash("sha256", body.access_token, "base64url")))?.record;
}

function spend(body: { readonly access_token: string }) {
  const { access_token: token } = body;
  const act_digest = decodeJwt(token).act_digest as string;
  const spend_id = randomBytes(16).toString("base64url");
  return harness.deployment.spend({ operation: "reserve", token, spend_id, act_digest });
}

describe("push delivery", () => {
  test("sends the token with its auth_req_id at the approval; the ID token binds both", async () => {
    const token = createNotificationToken();
    const { authReqId, request } = await asked({ client_notification_token: token });
    await harness.ada.decide(request, "approve");
    // No round has been made.
    await harness.receiver.waitForCount(1);
    const [received] = harness.receiver.received;
    assert.deepEqual([received?.method, received?.path], ["POST", "/cb"]);
    assert.equal(received?.headers.authorization, `Bearer ${token}`);
    assert.equal(received?.headers["content-type"], "application/json");
    const [body] = pushes();
    assert.deepEqual(Object.keys(body).sort(), [
      "access_token",
      "auth_req_id",
      "authorization_details",
      "expires_in",
      "id_token",
      "scope",
      "token_type",
    ]);
    assert.deepEqual([body.auth_req_id, body.token_type, body.expires_in], [authReqId, "Bearer", 60]);
    const claims = decodeJwt(body.id_token);
    const left = hash("sha256", body.access_token, "buffer").subarray(0, 16).toString("base64url");
    assert.equal(claims.at_hash, left);
    assert.equal(claims["urn:openid:params:jwt:claim:auth_req_id"], authReqId);
    assert.equal(claims.aud, "pushed");
    assert.equal((await spend(body)).status, 200);
    await harness.advance(0);
    assert.deepEqual((await afterDecision(request)).sort(), [
      "callback.sent",
      "token.issued",
      "token.reserved",
    ]);
    // Delivered, it is nowhere any more.
    assert.equal(await store().read("callback", request), undefined);
  });

  test("issues an ID token without push claims from the token endpoint", async () => {
    const polls = await harness.registerAgent("fetches", "poll");
    const { body } = await polls.ask();
    await harness.ada.decide(toRequestId(body.auth_req_id), "approve");
    const claims = decodeJwt((await polls.poll(body.auth_req_id)).body.id_token);
    assert.deepEqual(
      [claims.at_hash, claims["urn:openid:params:jwt:claim:auth_req_id"]],
      [undefined, undefined],
    );
  });

  test("returns no interval, and rejects polls", async () => {
    const { authReqId, body, request } = await asked();
    assert.equal("interval" in body, false);
    for (const verdict of [undefined, "approve"] as const) {
      if (verdict) await harness.ada.decide(request, verdict);
      const polled = await agent.poll(authReqId);
      assert.deepEqual([polled.status, polled.body.error], [400, "unauthorized_client"]);
    }
    await harness.advance(0);
    assert.equal(pushes().length, 1);
  });

  test("sends denied, cancelled and expired as different errors (T26)", async () => {
    const [denied, cancelled, expired] = [
      await asked(),
      await asked(),
      await asked({ requested_expiry: "10" }),
    ];
    await harness.ada.decide(denied.request, "deny", { reason: "Nicht heute, “später”" });
    await cancelRequest(store(), cancelled.request);
    await harness.advance(10_000);
    const said = new Map(pushes().map(({ auth_req_id, ...rest }) => [auth_req_id, rest]));
    assert.deepEqual(said.get(denied.authReqId), {
      error: "access_denied",
      error_description: "the request was denied or cancelled, or the approval is no longer valid",
      denial_reason: "Nicht heute, “später”",
    });
    assert.equal(said.get(cancelled.authReqId).error, "access_denied");
    assert.equal(said.get(expired.authReqId).error, "expired_token");
  });

  test("rejects agents with bound tokens and irreversible actions (T39)", async () => {
    const irreversible = await harness.deployment.server.store.read("agent", "pushed");
    assert.ok(irreversible);
    const change = async (changed: object) => {
      const held = (await store().read("agent", "pushed"))!;
      await store().commit({
        writes: [{ put: "agent", record: { ...held.record, ...changed }, ifVersion: held.version }],
        entries: [newEntry("agent.changed", store().now(), { actor: operator, agent: "pushed" })],
      });
    };
    // However it came to be so registered.
    await change({ types: ["rollout", "refund"] });
    const grave = await agent.ask({ authorization_details: JSON.stringify([refund]) });
    assert.deepEqual([grave.status, grave.body.error], [400, "unauthorized_client"]);
    assert.match(
      grave.body.error_description,
      /^push delivery is not available for irreversible actions \(refund\)$/,
    );

    const before = await asked();
    await change({ types: ["rollout"], binding: "dpop" });
    const bound = await agent.ask();
    assert.deepEqual([bound.status, bound.body.error], [400, "unauthorized_client"]);
    // What was asked before it was so gets no token either.
    await harness.ada.decide(before.request, "approve");
    await harness.advance(0);
    assert.deepEqual(
      pushes().map(({ error }) => error),
      ["transaction_failed"],
    );
    await change({ binding: undefined });
  });

  test("sends the same token after a crash between issue and delivery (T20)", async () => {
    harness.receiver.respond = () => {};
    const { request } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.receiver.waitForCount(1);
    await harness.deployment.restart();
    harness.receiver.respond = (response) => response.writeHead(200).end("thanks");
    await harness.advance(leaseMs);
    const [first, second, ...others] = harness.receiver.received;
    assert.equal(others.length, 0);
    assert.equal(second?.body, first?.body);
    assert.equal((await spend(pushes()[1])).status, 200);
  });

  test("stores the payload of a retry encrypted", async () => {
    harness.receiver.respond = (response) => response.writeHead(500).end();
    const { request } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.advance(0);
    const kept = JSON.stringify((await store().read("callback", request))?.record);
    assert.ok(kept.includes("sealedBody"));
    assert.ok(!kept.includes(pushes()[0].access_token));
  });

  test("retries until the token is too old, then revokes it (T20)", async () => {
    harness.receiver.respond = (response) => response.writeHead(500).end();
    const { request } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.advance(0);
    for (const delay of [1_000, 5_000]) await harness.advance(delay);
    assert.equal((await tokenOf(pushes()[0]))?.state, "issued");
    await harness.advance(20_000);
    // One more would be after 60 seconds, when the token has expired.
    assert.equal(pushes().length, 4);
    assert.equal(new Set(harness.receiver.received.map(({ body }) => body)).size, 1);
    assert.equal((await tokenOf(pushes()[0]))?.state, "revoked");
    assert.equal((await spend(pushes()[0])).body.error, "invalid_token");
    const entries = (await harness.readEntries(request)).slice(2);
    assert.deepEqual(
      entries.map(({ event }) => event),
      [
        "token.issued",
        ...Array(3).fill("callback.failed"),
        "token.revoked",
        "callback.abandoned",
        // The API tried it all the same.
        "spend.refused",
      ],
    );
    const [given] = await store().listAbandonedCallbacks(1);
    assert.deepEqual([given?.id, given?.sealedBody], [request, undefined]);
  });

  test("revokes the token at once if the endpoint rejects the push (T20)", async () => {
    for (const status of [302, 400, 401, 403, 404, 410]) {
      harness.receiver.received.length = 0;
      harness.receiver.respond = (response) => response.writeHead(status, { location: "/inside" }).end();
      const { request } = await asked();
      await harness.ada.decide(request, "approve");
      await harness.advance(0);
      await harness.advance(600_000);
      assert.equal(pushes().length, 1, String(status));
      assert.equal((await tokenOf(pushes()[0]))?.state, "revoked");
      assert.deepEqual(await afterDecision(request), ["token.issued", "token.revoked", "callback.abandoned"]);
    }
  });

  test("does not revoke a token that was spent although the response to its push was lost", async () => {
    const { request } = await asked();
    harness.receiver.respond = (response) => response.writeHead(500).end();
    await harness.ada.decide(request, "approve");
    await harness.advance(0);
    assert.equal((await spend(pushes()[0])).status, 200);
    for (const delay of [1_000, 5_000, 20_000]) await harness.advance(delay);
    assert.equal((await afterDecision(request)).at(-1), "callback.abandoned");
    assert.equal((await tokenOf(pushes()[0]))?.state, "reserved");
  });

  test("does not send a token that expired while the server was down", async () => {
    harness.receiver.respond = () => {};
    const { request } = await asked();
    await harness.ada.decide(request, "approve");
    await harness.receiver.waitForCount(1);
    await harness.deployment.restart();
    harness.receiver.respond = (response) => response.writeHead(204).end();
    await harness.advance(60_000);
    assert.equal(pushes().length, 1);
    const [given] = await store().listAbandonedCallbacks(1);
    assert.deepEqual(
      [given?.id, given?.lastError],
      [request, "the token expired before it could be delivered"],
    );
  });

  test("sends an error if the approval is no longer valid when the token would be issued", async () => {
    // Each puts something in the way in the very commit of the approval, before anything can be sent.
    const paused = await asked();
    await pauseAgent(store(), "pushed", true);
    await approveAnyway(paused.request, harness.ada.approver);
    await harness.advance(0);
    await pauseAgent(store(), "pushed", false);
    assert.deepEqual(
      pushes().map(({ error }) => error),
      ["access_denied"],
    );

    harness.receiver.received.length = 0;
    const removed = await asked();
    const bob = await harness.deployment.enrol("bob@example.com");
    await removeApprover(harness.deployment.server, "bob@example.com");
    await approveAnyway(removed.request, bob.approver);
    await harness.advance(0);
    assert.deepEqual(
      pushes().map(({ error }) => error),
      ["access_denied"],
    );

    harness.receiver.received.length = 0;
    const latched = await asked();
    const { parts } = (await store().read("request", latched.request))!.record;
    const { denyKey: id, type } = parts[0]!;
    const latch = {
      id,
      agent: "pushed",
      type,
      fields: {},
      requestId: latched.request,
      deniedAt: store().now(),
    };
    await store().commit({
      writes: [{ put: "denial", record: latch, ifVersion: absent }],
      entries: [newEntry("denial.released", store().now(), { actor: operator, agent: "pushed" })],
    });
    await approveAnyway(latched.request, harness.ada.approver);
    await harness.advance(0);
    assert.deepEqual(
      pushes().map(({ error }) => error),
      ["access_denied"],
    );
  });

  /** An approval that the rules would not allow at this instant, written as if they had a moment ago. */
  async function approveAnyway(request: string, approver: string): Promise<void> {
    const held = (await store().read("request", request))!;
    const callback = (await store().read("callback", request))!;
    const at = store().now();
    const decision = {
      approver: harness.ada.approver,
      at,
      level: "session" as const,
      authenticatedAt: at,
      amr: [],
    };
    const { cardHash, digest, agent: asker } = held.record;
    const actor = toApproverActor(harness.ada.approver);
    const about = { actor, request, agent: asker, approver: harness.ada.approver, digest };
    await store().commit({
      writes: [
        {
          put: "request",
          record: { ...held.record, status: { state: "approved", decision: { ...decision, approver } } },
          ifVersion: held.version,
        },
        {
          put: "callback",
          record: { ...callback.record, state: "queued", dueAt: at },
          ifVersion: callback.version,
        },
      ],
      entries: [
        newEntry("request.approved", at, { ...about, facts: { card_hash: cardHash, level: "session" } }),
      ],
    });
  }

  test("follows a changed delivery mode for new requests; old ones keep theirs", async () => {
    const change = async (id: string, delivery: object) => {
      const held = (await store().read("agent", id))!;
      await store().commit({
        writes: [
          { put: "agent", record: { ...held.record, delivery: delivery as never }, ifVersion: held.version },
        ],
        entries: [newEntry("agent.changed", store().now(), { actor: operator, agent: id })],
      });
    };
    const endpoint = `${harness.receiver.origin}/cb`;
    const first = await asked();
    await change("pushed", { mode: "poll" });
    await harness.ada.decide(first.request, "approve");
    await harness.advance(0);
    assert.equal(pushes().length, 0);
    assert.equal((await agent.poll(first.authReqId)).status, 200);
    const second = await asked();
    await change("pushed", { mode: "push", endpoint });
    await harness.ada.decide(second.request, "approve");
    await harness.advance(0);
    assert.equal(pushes().length, 0);
    assert.equal((await agent.poll(second.authReqId)).status, 200);
  });

  test("sends transaction_failed if the agent repeats its request after a delivered push", async () => {
    const authorization_details = JSON.stringify([{ type: "rollout", service: "lost" }]);
    const key = { "idempotency-key": "lost-push" };
    const first = await asked({ authorization_details }, key);
    await harness.ada.decide(first.request, "approve");
    await harness.advance(0);
    assert.ok(pushes()[0].access_token);
    const again = await asked({ authorization_details }, key);
    assert.equal(again.authReqId, first.authReqId);
    await harness.advance(0);
    assert.deepEqual([pushes()[1].auth_req_id, pushes()[1].error], [first.authReqId, "transaction_failed"]);
    assert.equal(pushes().length, 2);
  });

  test("lists the three delivery modes in metadata", async () => {
    const response = await harness.deployment.request("/.well-known/openid-configuration");
    const { backchannel_token_delivery_modes_supported } = (await response.json()) as Record<string, unknown>;
    assert.deepEqual(backchannel_token_delivery_modes_supported, ["poll", "ping", "push"]);
  });
});
