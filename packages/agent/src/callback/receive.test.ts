import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { acknowledged, failureOf, type StandIn, standIn, testClock } from "../../test/stand-in.ts";
import { type Agent, type Ask, type CallbackOptions, createAgent } from "../agent.ts";

let stand: StandIn;
let agent: Agent;
const clientSecret = "a secret of 256 bits, as the server makes them";
const problems: string[] = [];
const onProblem = ({ message }: Error) => problems.push(message);
const newAgent = (callback: CallbackOptions = { onProblem }) =>
  createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret }, { clock: testClock(), callback });

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  problems.length = 0;
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  agent = newAgent();
});

async function askAs(asker: Agent, idempotencyKey = "ticket-4711"): Promise<{ ask: Ask; token: string }> {
  const action = { type: "refund" };
  const asked = await asker.ask({ action, approver: "owner", idempotencyKey });
  assert(asked.outcome === "asked");
  return { ask: asked.ask, token: stand.seen.at(-1)?.form.get("client_notification_token") ?? "" };
}
type Sent = { token?: string; body?: unknown; headers?: Record<string, string>; method?: string };
function sent({ token, body = { auth_req_id: "req-1" }, headers, method = "POST" }: Sent): Request {
  return new Request("https://agent.example/callback", {
    method,
    headers: {
      "content-type": "application/json",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(method === "POST" && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}
const statusOf = async (callback: Sent, to = agent) => (await to.receive(sent(callback))).status;

describe("receive", () => {
  test("responds 204 without a body to a callback with the notification token of its request", async () => {
    const first = await askAs(agent);
    const answer = await agent.receive(sent(first));
    assert.deepEqual([answer.status, await answer.text()], [204, ""]);
    assert.equal(await statusOf(first), 204, "and again");
    stand.ask = [acknowledged({ auth_req_id: "req-2" })];
    assert.notEqual((await askAs(agent, "ticket-4712")).token, first.token);
  });

  test("sends a notification token only if callbacks are set up (T57)", async () => {
    await askAs(createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret }));
    assert.equal(stand.seen.at(-1)?.form.has("client_notification_token"), false);
    const without = createAgent({ issuer: stand.issuer, clientId: "refunder", clientSecret });
    assert.equal(await statusOf({ token: "anything" }, without), 404);
  });

  test("responds with the same 401 to every request without a valid token", async () => {
    const { token } = await askAs(agent);
    const forged = `${token.slice(0, -2)}AA`;
    const wrong: Sent[] = [
      {},
      { headers: { authorization: "" } },
      { headers: { authorization: `Basic ${token}` } },
      { headers: { authorization: `Bearer ${token} x` } },
      { token: "x" },
      { token: forged },
      { token: forged, body: { auth_req_id: "req-404" } },
      { token: forged, body: "not JSON" },
      { token: "A".repeat(5000) },
      // A valid token, for another request than the one in the body.
      { token, body: { auth_req_id: "req-404" } },
    ];
    for (const callback of wrong) {
      const answer = await agent.receive(sent(callback));
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
      assert.equal(await answer.text(), "");
    }
    assert.deepEqual(problems, []);
  });

  test("accepts only POST", async () => {
    const { token } = await askAs(agent);
    const answer = await agent.receive(sent({ token, method: "GET" }));
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "POST"]);
  });

  test("responds 400 to an invalid body and 413 to a large one, and reports both", async () => {
    const { token } = await askAs(agent);
    for (const callback of [
      { body: "" },
      { body: "[]" },
      { body: "null" },
      { body: "{" },
      { body: {} },
      { body: { auth_req_id: 7 } },
      { body: { auth_req_id: "" } },
      { body: { auth_req_id: "r".repeat(2000) } },
      { body: '{"auth_req_id":"req-1","auth_req_id":"req-2"}' },
      { body: '{"auth_req_id":"req-1","__proto__":{}}' },
      { headers: { "content-type": "text/plain" } },
      { headers: { "content-type": "application/jsonp" } },
    ] as Sent[])
      assert.equal(await statusOf({ token, ...callback }), 400, JSON.stringify(callback));
    assert.equal(problems.length, 12);
    const binary = new Request("https://agent.example/callback", {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: new Uint8Array([0x7b, 0xff, 0x7d]),
    });
    assert.equal((await agent.receive(binary)).status, 400);
    const long = { auth_req_id: "req-1", more: "x".repeat(70_000) };
    assert.equal(await statusOf({ token, body: long }), 413);
    assert.match(problems.at(-1)!, /larger than 65536 bytes/);
    assert.equal(
      await statusOf({ token, headers: { "content-type": "Application/JSON; charset=utf-8" } }),
      204,
    );
  });

  test("stops reading a body without end at the limit", async () => {
    const { token } = await askAs(agent);
    let pulled = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(16_384).fill(0x20));
      },
      cancel() {
        cancelled = true;
      },
    });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const init = { method: "POST", headers, body, duplex: "half" } as RequestInit;
    const answer = await agent.receive(new Request("https://agent.example/callback", init));
    assert.equal(answer.status, 413);
    assert(cancelled && pulled < 8);

    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) });
    const cut = { method: "POST", headers, body: broken, duplex: "half" } as RequestInit;
    assert.equal((await agent.receive(new Request("https://agent.example/callback", cut))).status, 400);
  });

  test("passes a stored request without a waiter to onReady, also in a new process (T21)", async () => {
    const { ask, token } = await askAs(agent);
    const store = new Map([["ticket-4711", ask]]);
    const ready: Ask[] = [];
    const other = newAgent({ store, onReady: (one: Ask) => ready.push(one), onProblem });
    assert.equal(await statusOf({ token }, other), 204);
    assert.deepEqual(ready, [ask]);
    assert.equal(await statusOf({ token, body: { auth_req_id: "req-404" } }, other), 401);
    assert.equal(ready.length, 1);
  });

  test("reports errors of onReady and responds 204; an error of the store is not a 204", async () => {
    const { ask, token } = await askAs(agent);
    const store = new Map([["ticket-4711", ask]]);
    for (const onReady of [() => Promise.reject(new Error("queue full")), () => assert.fail("queue full")]) {
      problems.length = 0;
      assert.equal(await statusOf({ token }, newAgent({ store, onReady, onProblem })), 204);
      await new Promise(setImmediate);
      assert.deepEqual(problems, ["onReady failed for ticket-4711"]);
    }
    const down = { get: () => Promise.reject(new Error("down")), set: () => {}, delete: () => {} };
    const error = await failureOf(newAgent({ store: down, onReady: () => {} }).receive(sent({ token })));
    assert.match(error.message, /down/);
  });

  test("refuses a ping that this process cannot use, so that another process can", async () => {
    const { ask, token } = await askAs(agent);
    const other = newAgent();
    assert.equal(await statusOf({ token }, other), 503);
    const store = new Map<string, Ask>();
    let ready = 0;
    const keeper = newAgent({ store, onReady: () => (ready += 1) });
    assert.equal(await statusOf({ token }, keeper), 503);

    // The request is not in the store yet; onReady must be called once it is.
    await askAs(keeper);
    assert.equal(await statusOf({ token }, keeper), 503);
    store.set(ask.idempotencyKey, ask);
    assert.equal(await statusOf({ token }, keeper), 204);
    assert.equal(ready, 1);
  });

  test("rejects a missing or short callback secret", async () => {
    const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
      "sign",
    ]);
    const byKey = {
      issuer: stand.issuer,
      clientId: "refunder",
      privateKey: { key: privateKey as CryptoKey },
    };
    assert.throws(() => createAgent(byKey, { callback: {} }), /callback\.secret is missing/);
    assert.throws(() => newAgent({ secret: "short" }), /32 or more random characters/);
    createAgent(byKey, { callback: { secret: "x".repeat(32) } });
    assert.throws(() => newAgent({ store: new Map() } as never), /must be set together/);
  });

  test("rejects push together with tokens bound to a key (T39)", () => {
    for (const binding of [{ dpop: true }, { certificateBound: true }])
      assert.throws(
        () =>
          createAgent(
            { issuer: stand.issuer, clientId: "refunder", clientSecret },
            { callback: { mode: "push" }, ...binding },
          ),
        /cannot be bound to a key/,
      );
  });

  test("accepts or rejects any body with a valid token, and never throws", async () => {
    const { token } = await askAs(agent);
    const part = fc.constantFrom(
      '{"auth_req_id":',
      '"req-1"',
      "}",
      "{",
      "[",
      "]",
      "null",
      ",",
      "\u0000",
      "é",
      "1e999",
      '"a":',
    );
    const body = fc.oneof(
      fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")),
      fc.json({ maxDepth: 3 }),
      fc.string({ unit: "binary", maxLength: 60 }),
    );
    await fc.assert(
      fc.asyncProperty(body, fc.boolean(), async (text, ours) => {
        const status = await statusOf({ token: ours ? token : `${token}x`, body: text });
        assert.ok(ours ? [204, 400, 401, 503].includes(status) : status === 401, `${status} for ${text}`);
      }),
      { numRuns: 300 },
    );
  });
});
