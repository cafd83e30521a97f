/** A sample of the README. `quick-start.test.ts` runs it. */

// #region express
import { countersigned } from "@countersign/verifier/express";
import express from "express";
import { verifier } from "./quick-start-hono.ts";

export const app = express();

app.post(
  "/refunds",
  express.json(),
  countersigned(verifier, (req) => {
    const { order, amount, currency } = req.body;
    return { type: "refund", order, amount, currency };
  }),
  (_req, res) => {
    const { action, approvedBy } = res.locals.countersign;
    // Make the refund here. It runs once.
    res.json({ refunded: action.order, amount: action.amount, approvedBy });
  },
);
// #endregion
