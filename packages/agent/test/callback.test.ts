/** Pings and pushes of the real server to `receive`, over HTTPS. Tests can drop and change them in transit. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import {
  type Agent,
  type AgentOptions,
  type Ask,
  type CallbackOptions,
  createAgent,
} from "@countersign/agent";
import { useCallbackHarness } from "@countersign/testing/server/callback-harness";
import type { ReceivedRequest } from "@countersign/testing/server/callback-receiver";
import { issuer, toRequestId } from "@countersign/testing/server/deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier } from "@countersign/verifier";
import { until } from "./stand-in.ts";

const harness = useCallbackHarness();
/** Credentials by delivery mode. */
const credentials: Partial<
  Record<"ping" | "push", { readonly clientId: string; readonly clientSecret: string }>
> = {};
/** The current receiver of callbacks. */
let receive: (callback: Request) => Promise<Response> | Response;
const statuses: number[] = [];

const clock = {
  now: () => harness.deployment.clock.now,
  elapsed: () => harness.deployment.clock.now,
  /** Never ends by time: only a callback ends a wait. */
  sleep: (milliseconds: number, signal?: AbortSignal) =>
    milliseconds <= 0
      ? Promise.resolve()
      : new Promise<void>((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
};
const network: typeof fetch = async (input, init) =>
  harness.deployment.server.fetch(new Request(`${input}`, init));

beforeTests(async () => {
  for (const mode of ["ping", "push"] as const) {
    const { id: clientId, secret: clientSecret } = await harness.registerAgent(`sdk-${mode}`, mode);
    credentials[mode] = { clientId, clientSecret };
  }
  harness.receiver.respond = async (response, { method, path, headers, body }: ReceivedRequest) => {
    const url = `https://agent.example${path}`;
    const { authorization = "", "content-type": type = "" } = headers;
    const callback = new Request(url, { method, headers: { authorization, "content-type": type }, body });
    const answer = await receive(callback);
    statuses.push(answer.status);
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end();
  };
});
beforeEach(() => {
  statuses.length = 0;
});

function newAgent(
  mode: "ping" | "push",
  callback: Partial<CallbackOptions> = {},
  options: AgentOptions = {},
): Agent {
  const agent = createAgent(
    { issuer, ...credentials[mode]! },
    {
      fetch: network,
      clock,
      callback: { mode, onProblem: (problem: Error) => assert.fail(problem), ...callback } as CallbackOptions,
      ...options,
    },
  );
  receive = agent.receive;
  return agent;
}

let services = 0;
function newRequest() {
  services += 1;
  const action = { type: "rollout", service: `sdk-${services}` };
  return { action, approver: "ada@example.com", idempotencyKey: `rollout-${services}` };
}
async function askedBy(agent: Agent, what = newRequest()): Promise<Ask> {
  const asked = await agent.ask(what);
  assert(asked.outcome === "asked", JSON.stringify(asked));
  return asked.ask;
}
const decide = (ask: Ask, verdict: "approve" | "deny" = "approve", more = {}) =>
  harness.ada.decide(toRequestId(ask.authReqId), verdict, more);
/** Returns the log events of the request's callback and token. */
const eventsOf = async (ask: Ask) =>
  (await harness.readEntries(toRequestId(ask.authReqId))).flatMap(({ event }) =>
    /^(callback|token)\./.test(event) ? event : [],
  );
describe("callback of the server", () => {
  for (const mode of ["ping", "push"] as const) {
    test(`ends the wait at once for approved, denied and expired (${mode})`, async () => {
      const agent = newAgent(mode);
      const yes = await askedBy(agent);
      const approved = agent.wait(yes);
      await decide(yes);
      const outcome = await approved;
      assert(outcome.outcome === "approved");
      assert.deepEqual([outcome.approver, outcome.action], [harness.ada.approver, yes.action]);

      const no = await askedBy(agent);
      const denied = agent.wait(no);
      await decide(no, "deny", { reason: "Zu früh – nein" });
      assert.deepEqual(await denied, { outcome: "denied", reason: "Zu früh – nein" });

      const late = agent.wait(await askedBy(agent));
      await harness.advance(121_000);
      assert.deepEqual(await late, { outcome: "expired" });
      assert.deepEqual(statuses, [204, 204, 204]);
    });

    test(`brings a token that can be spent once (${mode})`, async () => {
      const agent = newAgent(mode);
      const verifier = createVerifier({
        issuer,
        audience: "https://refunds.example",
        clientId: harness.deployment.api.id,
        clientSecret: harness.deployment.api.secret,
        fetch: network,
        clock: { ...clock, sleep: async () => {} },
      });
      const what = newRequest();
      const spend = async (token: string) => (await verifier.spend(token, what.action, () => {})).outcome;
      const store = new Map<string, Ask>();
      const run = async (_granted: object, token: string) => [await spend(token), await spend(token)];
      const done = agent.countersigned(what, run, { store });
      await until(() => store.size > 0);
      await decide(store.get(what.idempotencyKey)!);
      assert.deepEqual(await done, { outcome: "approved", result: ["done", "rejected"] });
    });

    test(`resumes a stored request in the process that the callback reaches (${mode}, T21)`, async () => {
      const what = newRequest();
      const ask = await askedBy(newAgent(mode), what);
      const store = new Map([[ask.idempotencyKey, JSON.parse(JSON.stringify(ask)) as Ask]]);
      const finished = new Promise((resolve) => {
        const second = newAgent(mode, {
          store,
          onReady: (ready: Ask) => {
            assert.deepEqual(ready, ask);
            resolve(second.countersigned(what, () => "rolled out", { store }));
          },
        });
      });
      await decide(ask);
      assert.deepEqual(await finished, { outcome: "approved", result: "rolled out" });
      assert.equal(store.size, 0);
    });

    test(`accepts a callback that is sent again after it was lost (${mode})`, async () => {
      const agent = newAgent(mode);
      receive = () => new Response(null, { status: 502 });
      const ask = await askedBy(agent);
      const waiting = agent.wait(ask);
      await decide(ask);
      await harness.advance(0);
      receive = agent.receive;
      await harness.advance(1_000);
      assert.equal((await waiting).outcome, "approved");
      assert.deepEqual(statuses, [502, 204]);
    });

    test(`returns the result of a repeated callback once (${mode})`, async () => {
      const agent = newAgent(mode);
      receive = async (callback) => {
        await agent.receive(callback);
        return new Response(null, { status: 502 });
      };
      const ask = await askedBy(agent);
      const waiting = agent.wait(ask);
      await decide(ask);
      assert.equal((await waiting).outcome, "approved");
      await harness.advance(0);
      receive = agent.receive;
      await harness.advance(1_000);
      assert.deepEqual(statuses, [502, 204]);
      assert.deepEqual(await agent.wait(ask), { outcome: "lost" });
    });
  }

  test("sends the callback of a joined request under its own token", async () => {
    const what = newRequest();
    const first = await askedBy(newAgent("ping"), what);
    await askedBy(newAgent("ping"), { ...what, idempotencyKey: `${what.idempotencyKey}-again` });
    const other = newAgent("ping");
    const second = await askedBy(other, { ...what, idempotencyKey: `${what.idempotencyKey}-once-more` });
    assert.deepEqual([second.authReqId, second.joined], [first.authReqId, true]);
    const waiting = other.wait(second);
    await decide(first);
    assert.equal((await waiting).outcome, "approved");
  });

  test("wakes an agent whose tokens are bound to its key by a ping", async () => {
    const agent = newAgent("ping", {}, { dpop: true });
    const ask = await askedBy(agent);
    const waiting = agent.wait(ask);
    await decide(ask);
    const outcome = await waiting;
    assert(outcome.outcome === "approved");
    assert.equal(outcome.tokenType, "DPoP");
  });

  test("rejects a push that was changed in transit, and the server revokes its token (T20)", async () => {
    const problems: string[] = [];
    const agent = newAgent("push", { onProblem: ({ message }: Error) => problems.push(message) });
    receive = async (callback) => {
      const body = JSON.parse(await callback.text());
      const [head, payload] = body.access_token.split(".");
      const changed = JSON.stringify({ ...body, access_token: `${head}.${payload}.forged` });
      return agent.receive(
        new Request(callback.url, { method: "POST", headers: callback.headers, body: changed }),
      );
    };
    const ask = await askedBy(agent);
    await decide(ask);
    await harness.advance(0);
    assert.deepEqual(statuses, [400]);
    assert.deepEqual(problems, ["a push was rejected: the at_hash of its ID token does not match"]);
    assert.equal((await agent.redeem(ask)).outcome, "pending");
    for (let round = 0; round < 8; round += 1) await harness.advance(60_000);
    const events = await eventsOf(ask);
    assert(events.includes("token.revoked") && events.includes("callback.abandoned"), events.join());
  });

  test("refuses a push without a waiter, and accepts it later in the waiting process (T20)", async () => {
    const waiter = newAgent("push");
    const ask = await askedBy(waiter);
    const waiting = waiter.wait(ask);
    newAgent("push");
    await decide(ask);
    await harness.advance(0);
    assert.deepEqual(statuses, [503]);
    receive = waiter.receive;
    await harness.advance(1_000);
    assert.equal((await waiting).outcome, "approved");
  });

  test("sends no token request for an agent with push, which may not send one", async () => {
    const ask = await askedBy(newAgent("push"));
    const polling = createAgent({ issuer, ...credentials.push! }, { fetch: network, clock });
    const refused = await polling.redeem(ask);
    assert(refused.outcome === "refused");
    assert.equal(refused.error, "unauthorized_client");
    assert.equal((await newAgent("push").redeem(ask)).outcome, "pending");
  });
});
