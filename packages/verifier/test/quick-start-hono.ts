/** Samples of the README. `quick-start.test.ts` runs them. */
// #region hono
import { createVerifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/hono";
import { Hono } from "hono";

export const verifier = createVerifier({
  issuer: process.env.COUNTERSIGN_ISSUER!,
  audience: "https://payments.example",
  clientId: process.env.COUNTERSIGN_CLIENT_ID!,
  clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
});

export const app = new Hono();

app.post(
  "/refunds",
  countersigned(verifier, async (c) => {
    const { order, amount, currency } = await c.req.json();
    return { type: "refund", order, amount, currency };
  }),
  (c) => {
    const { action, approvedBy } = c.get("countersign");
    // Make the refund here. It runs once.
    return c.json({ refunded: action.order, amount: action.amount, approvedBy });
  },
);
// #endregion

// #region spend
export async function refund(authorization: string | null, order: string, amount: string): Promise<Response> {
  const call = { type: "refund", order, amount, currency: "USD" };
  const answer = await verifier.spend(authorization, call, async ({ jti }) => {
    // Make the refund here. It runs once; `jti` is a suitable idempotency key for further calls.
    return { refunded: order, reference: jti };
  });
  if (answer.outcome === "rejected") {
    const { status, headers, body } = answer;
    return Response.json(body, { status, headers });
  }
  return Response.json(answer.result);
}
// #endregion

// #region several
app.post(
  "/payouts",
  countersigned(verifier, async (c) => {
    const { order, amount } = await c.req.json();
    return [
      { type: "transfer", from: "reserve", to: "payouts", amount },
      { type: "refund", order, amount, currency: "USD" },
    ];
  }),
  (c) => {
    const [transfer, refund] = c.get("countersign").action;
    // Make both here. They run once.
    return c.json({ moved: transfer.amount, refunded: refund.order });
  },
);
// #endregion
