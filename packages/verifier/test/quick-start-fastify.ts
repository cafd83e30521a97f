/** A sample of the README. `quick-start.test.ts` runs it. */

// #region fastify
import { countersigned } from "@countersign/verifier/fastify";
import fastify, { type FastifyRequest } from "fastify";
import { verifier } from "./quick-start-hono.ts";

export const app = fastify();

type Refund = { Body: { order: string; amount: string; currency: string } };

app.post(
  "/refunds",
  {
    preHandler: countersigned(verifier, ({ body }: FastifyRequest<Refund>) => {
      const { order, amount, currency } = body;
      return { type: "refund", order, amount, currency };
    }),
  },
  async (request) => {
    const { action, approvedBy } = request.countersign;
    // Make the refund here. It runs once.
    return { refunded: action.order, amount: action.amount, approvedBy };
  },
);
// #endregion
