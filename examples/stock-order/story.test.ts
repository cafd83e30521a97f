import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openScene, type Scene } from "../harness/agent-context.ts";
import type { Approver } from "../harness/approver.ts";

let harness: Scene;
let grace: Approver;

before(async () => {
  harness = await openScene({
    folder: new URL("./", import.meta.url),
    agent: { id: "trading-assistant", name: "Trading assistant", type: "create_order" },
    api: { id: "broker-api", of: "broker" },
    approvers: [{ email: "grace@example.com", name: "Grace Hopper" }],
  });
  [grace] = harness.approvers as [Approver];
});
after(() => harness?.close());

/** A call of the tool `create_order`, as the model makes it. */
function toolCall(id: string, symbol: string, more: object = {}) {
  return {
    id,
    arguments: { symbol, quantity: 10, limit_price: "25.00" },
    because: "P/E is below 15, as you asked.",
    ...more,
  };
}

async function orders(symbol: string) {
  return (await harness.listActions("/orders")).filter((order) => order.symbol === symbol);
}

test("an approved order is placed once; more shares and a higher limit are refused and do not consume the token (T9)", async () => {
  const agent = harness.agent(toolCall("call-1", "ZEKO"), { holdCalls: true });
  const card = await grace.openCard("ZEKO");
  assert.equal(card.sentence, "Buy 10 shares of “ZEKO” at no more than $25.00 each");
  assert.deepEqual(card.rows, {
    Quantity: "10 shares",
    Symbol: "ZEKO",
    "Limit price": "$25.00",
    Account: "ACC-1001",
  });
  assert.match(card.words, /P\/E is below 15/);
  await grace.approve();

  const held = await agent.waitForCall();
  for (const changed of [
    { quantity: 11 },
    { limit_price: "25.01" },
    { account: "ACC-2002" },
    { quantity: "10" },
  ]) {
    const { status, body } = await held.repeat(changed);
    assert.equal(status, 403, JSON.stringify(changed));
    assert.match(body, new RegExp(`not the action that was approved: ${Object.keys(changed)[0]}`));
  }
  assert.deepEqual(await orders("ZEKO"), []);

  held.release();
  const { outcome, result } = await agent.outcome();
  assert.equal(outcome, "approved");
  assert.equal((await held.repeat()).status, 401);
  assert.deepEqual(await orders("ZEKO"), [result]);
});

test("a denied symbol stays denied for any quantity and price (T25)", async () => {
  const agent = harness.agent(toolCall("call-2", "WINS"));
  await grace.openCard("WINS");
  await grace.deny("I said no gambling.");
  assert.deepEqual(await agent.outcome(), { outcome: "denied", reason: "I said no gambling." });

  const same = harness.agent(toolCall("call-3", "WINS"));
  const cheaper = harness.agent(
    toolCall("call-4", "WINS", { arguments: { symbol: "WINS", quantity: 9, limit_price: "24.99" } }),
  );
  for (const agent of [same, cheaper]) {
    const { outcome, error } = await agent.outcome();
    assert.deepEqual({ outcome, error }, { outcome: "refused", error: "access_denied" });
    assert.deepEqual(agent.responses.at(-1)?.status, 403);
  }
  assert.deepEqual(await orders("WINS"), []);
});

test("an undecided order expires, without a denial (T26)", async () => {
  const agent = harness.agent(toolCall("call-5", "SLOW", { answerWithinSeconds: 2 }));
  assert.deepEqual(await agent.outcome(), { outcome: "expired" });
  assert.deepEqual(await orders("SLOW"), []);
  const denials = (await harness.countersign("denials", "list", "--json")).split("\n");
  assert.deepEqual(
    denials.map((denial) => JSON.parse(JSON.parse(denial).fields).symbol),
    ["WINS"],
  );
});

test("a killed assistant resumes from its database and buys once (T21)", async () => {
  const call = toolCall("call-6", "CALM");
  const first = harness.agent(call);
  await first.waitForPoll();
  await first.end("SIGKILL");
  await grace.openCard("CALM");
  await grace.approve();

  const second = harness.agent(call);
  const { outcome, result } = await second.outcome();
  assert.equal(outcome, "approved");
  assert.ok(!second.responses.some(({ url }) => url.endsWith("/bc-authorize")), "no second request");
  assert.deepEqual(
    await harness.agent(call).outcome(),
    { outcome: "lost" },
    "the same tool call never asks twice",
  );
  assert.deepEqual(await orders("CALM"), [result]);
});
