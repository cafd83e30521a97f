import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openScene, type Scene } from "../harness/agent-context.ts";
import type { Approver } from "../harness/approver.ts";

let harness: Scene;
let ada: Approver;

before(async () => {
  harness = await openScene({
    folder: new URL("./", import.meta.url),
    agent: { id: "refund-desk", name: "Refund desk", type: "refund" },
    api: { id: "refunds-api", of: "refunds" },
    approvers: [{ email: "ada@example.com", name: "Ada Lovelace" }],
  });
  [ada] = harness.approvers as [Approver];
});
after(() => harness?.close());

const marta = {
  id: "ticket-5512",
  order: "R-2041-887",
  customer: "Marta Jiménez",
  amount: "10000.00",
  summary: "The espresso machines arrived with water damage. The photos match.",
};

/** The refunds that were paid for an order. */
async function paid(order: string) {
  return (await harness.listActions("/refunds")).filter((refund) => refund.order === order);
}

test("an approved refund is paid once; another amount is refused and does not consume the token (T9)", async () => {
  const agent = harness.agent(marta, { holdCalls: true });
  const card = await ada.openCard(marta.order);
  assert.equal(card.sentence, "Refund $10,000.00 to “Marta Jiménez” for order “R-2041-887”");
  assert.deepEqual(card.rows, { Amount: "$10,000.00", Customer: "Marta Jiménez", Order: "R-2041-887" });
  assert.match(card.words, /water damage/);
  await ada.approve();

  const held = await agent.waitForCall();
  const more = await held.repeat({ amount: "10000.01" });
  assert.equal(more.status, 403);
  assert.match(more.body, /not the action that was approved: amount/);
  const changedCustomer = await held.repeat({ customer: "Mallory" });
  assert.equal(changedCustomer.status, 403);
  assert.deepEqual(await paid(marta.order), []);

  held.release();
  const { outcome, result, note } = await agent.outcome();
  assert.equal(outcome, "approved");
  assert.equal(note, `Refunded, receipt ${result.receipt}.`);

  const again = await held.repeat();
  assert.equal(again.status, 401);
  assert.match(again.body, /has been used/);
  assert.deepEqual(await paid(marta.order), [result]);
});

test("a denial reaches the agent with its reason and also covers another ticket and amount (T25)", async () => {
  const ticket = { ...marta, id: "ticket-5513", order: "R-2041-890", customer: "Jo Silva" };
  const agent = harness.agent(ticket);
  await ada.openCard(ticket.order);
  await ada.deny("The photos show another machine.");
  const denied = await agent.outcome();
  assert.equal(denied.outcome, "denied");
  assert.equal(denied.reason, "The photos show another machine.");

  const again = harness.agent({ ...ticket, id: "ticket-5514" });
  const less = harness.agent({ ...ticket, id: "ticket-5515", amount: "9999.99" });
  for (const agent of [again, less]) {
    const { outcome, error } = await agent.outcome();
    assert.deepEqual({ outcome, error }, { outcome: "refused", error: "access_denied" });
    assert.equal(agent.responses.at(-1)?.status, 403);
  }
  assert.deepEqual(await paid(ticket.order), []);
});

test("an undecided request expires, and can be requested again (T26)", async () => {
  const ticket = { ...marta, id: "ticket-5516", order: "R-2041-893", answerWithinSeconds: 2 };
  const undecided = await harness.agent(ticket).outcome();
  assert.equal(undecided.outcome, "expired");
  const agent = harness.agent({ ...ticket, id: "ticket-5517", answerWithinSeconds: 60 });
  await agent.waitForPoll();
  await agent.end();
  assert.deepEqual(await paid(ticket.order), []);
});

test("another process resumes a killed agent and pays once (T21)", async () => {
  const ticket = { ...marta, id: "ticket-5518", order: "R-2041-896" };
  const first = harness.agent(ticket);
  await first.waitForPoll();
  await first.end("SIGKILL");
  assert.deepEqual(
    readdirSync(join(harness.folder, "asks")).filter((file) => file.startsWith(ticket.id)),
    [`${ticket.id}.json`],
  );

  await ada.openCard(ticket.order);
  await ada.approve();
  const second = harness.agent(ticket);
  const { outcome, result } = await second.outcome();
  assert.equal(outcome, "approved");
  assert.ok(!second.responses.some(({ url }) => url.endsWith("/bc-authorize")), "no second request");

  const third = await harness.agent(ticket).outcome();
  assert.equal(third.outcome, "lost", "the same ticket never asks twice");
  assert.deepEqual(await paid(ticket.order), [result]);
});

test("the audit log has every step and verifies, with a passkey signature for each approval", async () => {
  const output = await harness.countersign("log", "verify");
  assert.match(output, /^the log of \S+ verifies/);
  assert.match(output, /\bsignatures +2\b/);
});
