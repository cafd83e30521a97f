/** Samples of the README. `quick-start.test.ts` runs them. */
// #region key
import { readFileSync } from "node:fs";
import { type Approved, createAgent } from "@countersign/agent";

const agent = createAgent(
  {
    issuer: process.env.COUNTERSIGN_ISSUER!,
    clientId: process.env.COUNTERSIGN_CLIENT_ID!,
    privateKey: { pem: readFileSync(process.env.COUNTERSIGN_KEY_FILE!, "utf8"), algorithm: "ES256" },
  },
  { signRequests: true, dpop: true },
);

export function refund(order: string, amount: string) {
  return agent.countersigned(
    { action: { type: "refund", order, amount, currency: "USD" }, approver: "owner" },
    (_granted, _token, approved) => callPayments(approved),
  );
}

async function callPayments(approved: Approved): Promise<string> {
  const url = `${process.env.PAYMENTS_URL}/refunds`;
  const proven = await approved.headers("POST", url);
  const response = await fetch(url, {
    method: "POST",
    headers: { ...proven, "content-type": "application/json" },
    body: JSON.stringify(approved.action),
  });
  return response.text();
}
// #endregion
