/** Both SDKs against the real server, over its `fetch`, with a simulated clock and network. */
import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import { type Agent, type Ask, createAgent } from "@countersign/agent";
import { issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { type Call, createVerifier, type Verifier } from "@countersign/verifier";

const deployment = useDeployment({
  config: { actions: { refund: { combinable_with: ["refund"] } } },
});
let agent: Agent;
let verifier: Verifier;
const problems: unknown[] = [];
/** The response of the next request to this path is lost. */
let losing: string | undefined;
/** Called during each sleep of the SDKs. */
let meanwhile: () => unknown = () => {};

const network: typeof fetch = async (input, init) => {
  const response = await deployment.server.fetch(new Request(`${input}`, init));
  if (new URL(`${input}`).pathname !== losing) return response;
  losing = undefined;
  throw new TypeError("connection lost");
};
const clock = {
  now: () => deployment.clock.now,
  elapsed: () => deployment.clock.now,
  async sleep(ms: number) {
    deployment.clock.now += ms;
    await meanwhile();
  },
};

beforeTests(async () => {
  agent = newAgent();
  verifier = createVerifier({
    issuer,
    audience: "https://refunds.example",
    clientId: deployment.api.id,
    clientSecret: deployment.api.secret,
    fetch: network,
    clock,
    onProblem: (problem) => problems.push(problem),
  });
});
beforeEach(() => {
  meanwhile = () => {};
});
after(async () => {
  assert.deepEqual([...problems, ...deployment.faults], []);
});

function newAgent(): Agent {
  return createAgent(
    { issuer, clientId: deployment.agent.id, clientSecret: deployment.agent.secret },
    // Only sleeps advance the clock, and a long poll does not sleep.
    { fetch: network, clock, longPollSeconds: 0 },
  );
}

async function ask(order: string, more = {}): Promise<Ask> {
  const asked = await agent.ask({ action: { ...refund, order }, approver: "ada@example.com", ...more });
  assert(asked.outcome === "asked", JSON.stringify(asked));
  return asked.ask;
}

async function approvedToken(order: string): Promise<string> {
  const asked = await ask(order);
  await deployment.ada.decide(toRequestId(asked.authReqId), "approve");
  const outcome = await agent.wait(asked);
  assert(outcome.outcome === "approved", outcome.outcome);
  return outcome.token;
}

const never = () => assert.fail("must not run");

describe("agent and verifier", () => {
  test("runs one call once; rejects another amount and a second use with the reason (T9)", async () => {
    meanwhile = async () => {
      for (const { id } of await deployment.server.store.listRequests({ state: "pending", limit: 9 }))
        await deployment.ada.decide(id, "approve");
    };
    const action = { ...refund, order: "S-1" };
    const newAsk = { action: { ...action, reason: "kind" }, approver: "owner" };
    const outcome = await agent.countersigned(newAsk, async (granted, token) => {
      assert.ok(!("reason" in granted), "advisory words are not granted");
      const other = await verifier.spend(token, { ...action, amount: "10000.01" }, never);
      assert(other.outcome === "rejected");
      assert.deepEqual([other.reason, other.differs], ["digest_mismatch", ["amount"]]);
      const spent = await verifier.spend(`Bearer ${token}`, action, () => "refunded");
      const again = await verifier.spend(token, action, never);
      assert(again.outcome === "rejected");
      assert.equal(again.reason, "already_spent");
      return spent;
    });
    assert(outcome.outcome === "approved" && outcome.result.outcome === "done");
    assert.equal(outcome.result.result, "refunded");
    assert.deepEqual(outcome.result.spent.approvedBy, [deployment.ada.approver]);
  });

  test("requests, approves and spends several actions as one, and none of them alone (T9)", async () => {
    meanwhile = async () => {
      for (const { id } of await deployment.server.store.listRequests({ state: "pending", limit: 9 }))
        await deployment.ada.decide(id, "approve");
    };
    const first = { ...refund, order: "S-20" };
    const second = { ...refund, order: "S-21", amount: "1.00" };
    const newAsk = { actions: [{ ...first, reason: "kind" }, second], approver: "owner" } as const;
    const outcome = await agent.countersigned(newAsk, async (granted, token) => {
      assert.deepEqual(granted, [first, second]);
      for (const other of [first, [second, first], [first, { ...second, amount: "2.00" }]]) {
        const refused = await verifier.spend(token, other, never);
        assert(refused.outcome === "rejected" && refused.reason === "digest_mismatch");
      }
      const spent = await verifier.spend(token, [first, second], ({ action }) =>
        action.map(({ order }) => order),
      );
      const again = await verifier.spend(token, [first, second], never);
      assert(again.outcome === "rejected" && again.reason === "already_spent");
      return spent;
    });
    assert(outcome.outcome === "approved" && outcome.result.outcome === "done");
    assert.deepEqual(outcome.result.result, ["S-20", "S-21"]);
  });

  test("returns a denial with its reason, and refuses the same request afterwards (T44)", async () => {
    const denied = await ask("S-2");
    await deployment.ada.decide(toRequestId(denied.authReqId), "deny", { reason: "Zu hoch – nein" });
    assert.deepEqual(await agent.wait(denied), { outcome: "denied", reason: "Zu hoch – nein" });
    const again = await agent.ask({ action: { ...refund, order: "S-2", amount: "1.00" }, approver: "owner" });
    assert(again.outcome === "refused");
    assert.equal(again.error, "access_denied");
  });

  test("returns expired for a request without a decision (T26)", async () => {
    assert.deepEqual(await agent.wait(await ask("S-3", { lifetimeSeconds: 30 })), { outcome: "expired" });
  });

  test("resumes a request saved as JSON in another process, and returns lost in a second (T21)", async () => {
    const first = await ask("S-4", { idempotencyKey: "s-4" });
    const second = await ask("S-4", { idempotencyKey: "s-4" });
    assert.deepEqual([second.authReqId, second.joined], [first.authReqId, true]);
    await deployment.ada.decide(toRequestId(first.authReqId), "approve");
    const resumed = await newAgent().wait(JSON.parse(JSON.stringify(first)));
    assert(resumed.outcome === "approved");
    assert.equal(resumed.approver, deployment.ada.approver);
    assert.deepEqual(await agent.wait(second), { outcome: "lost" });
  });

  test("runs nothing for a token that expires between check and spend (T11)", async () => {
    const token = await approvedToken("S-5");
    const action = { ...refund, order: "S-5" };
    assert.equal((await verifier.check(token, action)).outcome, "checked");
    deployment.clock.now += 62_000;
    const late = await verifier.spend(token, action, never);
    assert(late.outcome === "rejected");
    assert.equal(late.reason, "expired_token");
  });

  test("returns lost for a token whose response was lost, without another request (T23)", async () => {
    const asked = await ask("S-6");
    await deployment.ada.decide(toRequestId(asked.authReqId), "approve");
    losing = "/oauth/token";
    assert.deepEqual(await agent.wait(asked), { outcome: "lost" });
  });

  test("returns the same request for a retry after a lost acknowledgement", async () => {
    losing = "/bc-authorize";
    const asked = await ask("S-7");
    assert.equal(asked.joined, true);
    const waiting = await deployment.server.store.listRequests({ state: "pending", limit: 99 });
    assert.equal(waiting.filter(({ parts }) => parts[0]?.bound.order === "S-7").length, 1);
  });

  test("retries a lost reservation with the same spend id, and runs once", async () => {
    const token = await approvedToken("S-8");
    losing = "/spend";
    let runs = 0;
    const outcome = await verifier.spend(token, { ...refund, order: "S-8" }, () => {
      runs += 1;
    });
    assert.deepEqual([outcome.outcome, runs], ["done", 1]);
  });

  test("requests a scope without details; its token is rejected by another API", async () => {
    const asked = await agent.ask({ scope: "calendar.clear", approver: "owner" });
    assert(asked.outcome === "asked");
    await deployment.ada.decide(toRequestId(asked.ask.authReqId), "approve");
    const outcome = await agent.wait(asked.ask);
    assert(outcome.outcome === "approved");
    assert.match(outcome.scope, /calendar\.clear/);
    assert.equal((await verifier.check(outcome.token, { type: "calendar.clear" })).outcome, "rejected");
  });

  test("returns the server's refusal with its error, and notifies no approver", async () => {
    const wrong = await agent.ask({ action: { ...refund, amount: "1" }, approver: "owner" });
    const unknown = await agent.ask({ action: { ...refund, order: "S-9" }, approver: "nobody@example.com" });
    assert(wrong.outcome === "refused" && unknown.outcome === "refused");
    assert.deepEqual([wrong.error, unknown.error], ["invalid_authorization_details", "unknown_user_id"]);
  });

  test("runs a token bound to the agent's key with its proofs only", async () => {
    await deployment.restart({ dpop: { require_nonce: true } });
    const bound = createAgent(
      { issuer, clientId: deployment.agent.id, clientSecret: deployment.agent.secret },
      { fetch: network, clock, longPollSeconds: 0, dpop: true },
    );
    const action = { ...refund, order: "S-10" };
    const asked = await bound.ask({ action, approver: "ada@example.com" });
    assert(asked.outcome === "asked");
    await deployment.ada.decide(toRequestId(asked.ask.authReqId), "approve");
    const approved = await bound.wait(asked.ask);
    assert(approved.outcome === "approved");
    assert.equal(approved.tokenType, "DPoP");

    const url = "https://refunds.example/refunds";
    const call = async (method: string, to: string): Promise<Call> => ({
      headers: new Headers(await approved.headers(method, to)),
      method: "POST",
      url,
    });
    for (const stolen of [approved.token, `Bearer ${approved.token}`, `DPoP ${approved.token}`])
      assert.equal((await verifier.spend(stolen, action, never)).outcome, "rejected");
    for (const other of [await call("PUT", url), await call("POST", `${url}/all`)])
      assert.equal((await verifier.spend(other, action, never)).outcome, "rejected");
    assert.equal((await verifier.spend(await call("POST", url), action, () => "refunded")).outcome, "done");
    await deployment.restart();
  });
});
