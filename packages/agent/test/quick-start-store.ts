/** A sample of the README. `quick-start.test.ts` runs it. */
// #region store
import type { AskStore } from "@countersign/agent";
import { agent, callPayments } from "./quick-start.ts";

export function refundForTicket(ticket: string, order: string, amount: string, store: AskStore) {
  return agent.countersigned(
    {
      action: { type: "refund", order, amount, currency: "USD" },
      approver: "owner",
      idempotencyKey: `refund-${ticket}`,
    },
    callPayments,
    { store },
  );
}
// #endregion
