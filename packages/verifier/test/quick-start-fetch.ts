/** A sample of the README. `quick-start.test.ts` runs it. */

// #region fetch
import { countersigned } from "@countersign/verifier/fetch";
import { verifier } from "./quick-start-hono.ts";

export const POST = countersigned(
  verifier,
  async (request) => {
    const { order, amount, currency } = await request.json();
    return { type: "refund", order, amount, currency };
  },
  async (_request, { action, approvedBy }) => {
    // Make the refund here. It runs once.
    return Response.json({ refunded: action.order, amount: action.amount, approvedBy });
  },
);
// #endregion
