/**
 * An agent that handles the tickets of a refund desk, unattended. It may prepare any refund and pays none by itself:
 * before money leaves, somebody from finance is asked, and what they approve is what is paid. Takes a ticket as JSON,
 * and prints what became of it.
 */
import { createAgent, type Granted } from "@countersign/agent";
import { askFolder } from "./ask-folder.ts";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  API_URL: api,
} = process.env;
const ticket: Ticket = JSON.parse(process.argv[2] ?? "");

// #region ask
const agent = createAgent({ issuer, clientId, clientSecret });

const refund = await agent.countersigned(
  {
    action: {
      type: "refund",
      order: ticket.order,
      customer: ticket.customer,
      amount: ticket.amount,
      currency: "USD",
    },
    approver: "owner",
    message: ticket.summary,
    lifetimeSeconds: ticket.answerWithinSeconds,
    idempotencyKey: ticket.id,
  },
  (granted, token) => pay(granted, token),
  { store: askFolder("asks") },
);
// #endregion

// #region pay
/** Sends what was granted, which is what was approved, with the token that says so. */
async function pay(granted: Granted, token: string) {
  const response = await fetch(`${api}/refunds`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(granted),
  });
  if (!response.ok) throw new Error(`the refund API answered ${response.status}`);
  return (await response.json()) as { receipt: string };
}
// #endregion

console.log(JSON.stringify({ ...refund, note: note() }));

/** What the agent writes on the ticket. Five ends, each of them final; none is a reason to try again. */
function note(): string {
  // #region outcome
  switch (refund.outcome) {
    case "approved":
      return `Refunded, receipt ${refund.result.receipt}.`;
    case "denied":
      return `Finance said no: ${refund.reason ?? "no reason given"}`;
    case "expired":
      return "Nobody answered in time. Silence is not a yes; a person takes over.";
    case "refused":
      return `Nobody was asked: ${refund.description ?? refund.error}`;
    case "lost":
      return "It was approved, and may have been paid. A person looks, before anything else.";
  }
  // #endregion
}

type Ticket = {
  readonly id: string;
  readonly order: string;
  readonly customer: string;
  /** A decimal: "10000.00". */
  readonly amount: string;
  readonly summary: string;
  readonly answerWithinSeconds?: number;
};
