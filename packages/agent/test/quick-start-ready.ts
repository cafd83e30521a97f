/** A sample of the README. `quick-start.test.ts` runs it. */
// #region ready
import { type Ask, createAgent } from "@countersign/agent";
import { callPayments } from "./quick-start.ts";

const asks = new Map<string, Ask>();

export const agent = createAgent(
  {
    issuer: process.env.COUNTERSIGN_ISSUER!,
    clientId: process.env.COUNTERSIGN_CLIENT_ID!,
    clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
  },
  { callback: { store: asks, onReady: finish } },
);

export async function askNow(ticket: string, order: string, amount: string): Promise<void> {
  const asked = await agent.ask({
    action: { type: "refund", order, amount, currency: "USD" },
    approver: "owner",
    idempotencyKey: ticket,
  });
  if (asked.outcome === "asked") asks.set(ticket, asked.ask);
}

async function finish(ask: Ask): Promise<void> {
  const outcome = await agent.wait(ask);
  if (outcome.outcome === "approved") await callPayments(outcome.action, outcome.token);
  asks.delete(ask.idempotencyKey);
}
// #endregion
