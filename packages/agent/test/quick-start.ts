/** Samples of the README. `quick-start.test.ts` runs them. */
// #region countersigned
import { createAgent } from "@countersign/agent";

export const agent = createAgent({
  issuer: process.env.COUNTERSIGN_ISSUER!,
  clientId: process.env.COUNTERSIGN_CLIENT_ID!,
  clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
});

export async function refund(order: string, amount: string): Promise<string> {
  const outcome = await agent.countersigned(
    {
      action: { type: "refund", order, amount, currency: "USD" },
      approver: "owner",
      message: "The customer returned the goods",
    },
    (granted, token) => callPayments(granted, token),
  );
  switch (outcome.outcome) {
    case "approved":
      return `done: ${outcome.result}`;
    case "denied":
      return `denied: ${outcome.reason ?? "no reason given"}`;
    case "expired":
      return "expired without a decision";
    case "refused":
      return `refused: ${outcome.error}`;
    case "lost":
      return "approved, but the token was lost: check whether the refund was made, then ask again";
  }
}
// #endregion

// #region call
export async function callPayments(granted: object, token: string): Promise<string> {
  const response = await fetch(`${process.env.PAYMENTS_URL}/refunds`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(granted),
  });
  return response.text();
}
// #endregion

// #region several
export async function payOut(order: string, amount: string): Promise<string> {
  const outcome = await agent.countersigned(
    {
      actions: [
        { type: "transfer", from: "reserve", to: "payouts", amount },
        { type: "refund", order, amount, currency: "USD" },
      ],
      approver: "owner",
    },
    ([transfer, refund], token) =>
      callPayments({ from: transfer.from, order: refund.order, amount: refund.amount }, token),
  );
  return outcome.outcome;
}
// #endregion

// #region steps
export async function askNow(order: string, amount: string, signal: AbortSignal): Promise<string> {
  const asked = await agent.ask(
    { action: { type: "refund", order, amount, currency: "USD" }, approver: "dana@shop.example" },
    { signal },
  );
  if (asked.outcome === "refused") throw new Error(`request refused: ${asked.description ?? asked.error}`);
  return JSON.stringify(asked.ask);
}

export async function finishLater(saved: string, signal: AbortSignal): Promise<string> {
  const outcome = await agent.wait(JSON.parse(saved), { signal });
  return outcome.outcome === "approved" ? callPayments(outcome.action, outcome.token) : outcome.outcome;
}
// #endregion
