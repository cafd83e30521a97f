/**
 * The API that pays refunds. Each refund needs a token that was approved for exactly this refund, and a token pays once.
 */
import type { AddressInfo } from "node:net";
import { type Action, createVerifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/hono";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  PORT: port,
} = process.env;

// #region api
const verifier = createVerifier({ issuer, audience: "https://refunds.example", clientId, clientSecret });

const app = new Hono();

app.post(
  "/refunds",
  countersigned(verifier, async (c) => {
    const { order, customer, amount, currency } = await c.req.json();
    return { type: "refund", order, customer, amount, currency };
  }),
  (c) => {
    const { action, approvedBy } = c.get("countersign");
    return c.json(pay(action, approvedBy), 201);
  },
);
// #endregion

app.get("/refunds", (c) => c.json(paid));

const paid: object[] = [];

/** A real API would pay here. */
function pay(action: Action, approvedBy: readonly string[]) {
  const { order, customer, amount, currency } = action;
  const refund = { receipt: `RF-${1001 + paid.length}`, order, customer, amount, currency, approvedBy };
  paid.push(refund);
  return refund;
}

const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(port) });
server.once("listening", () => {
  console.log(`the refund API listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
