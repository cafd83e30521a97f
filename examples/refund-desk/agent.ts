/**
 * An agent that handles the tickets of a refund desk, unattended. It may prepare any refund, and each one needs the approval of
 * someone in finance before it is paid. Takes a ticket as JSON and prints the outcome.
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
/** Sends the approved refund with its token. */
async function pay(granted: Granted, token: string) {
  const response = await fetch(`${api}/refunds`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(granted),
  });
  if (!response.ok) throw new Error(`the refund API returned ${response.status}`);
  return (await response.json()) as { receipt: string };
}
// #endregion

console.log(JSON.stringify({ ...refund, note: note() }));

/** Returns the note for the ticket. There are five outcomes, all of them final; none is a reason to retry. */
function note(): string {
  // #region outcome
  switch (refund.outcome) {
    case "approved":
      return `Refunded, receipt ${refund.result.receipt}.`;
    case "denied":
      return `Denied by finance: ${refund.reason ?? "no reason given"}`;
    case "expired":
      return "No decision in time. A person takes over.";
    case "refused":
      return `Refused: ${refund.description ?? refund.error}`;
    case "lost":
      return "Approved, and possibly paid. A person must check first.";
  }
  // #endregion
}

type Ticket = {
  readonly id: string;
  readonly order: string;
  readonly customer: string;
  /** A decimal string: "10000.00". */
  readonly amount: string;
  readonly summary: string;
  readonly answerWithinSeconds?: number;
};
