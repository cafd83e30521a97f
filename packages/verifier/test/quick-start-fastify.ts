/** The third sample of the README, as code that runs: `quick-start.test.ts` runs it. */

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
    // Here the refund is made, once.
    return { refunded: action.order, amount: action.amount, approvedBy };
  },
);
// #endregion
