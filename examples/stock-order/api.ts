/** The broker's API. Each order needs a token that the account's owner approved for exactly this order. */
import type { AddressInfo } from "node:net";
import { type Action, createVerifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/express";
import express from "express";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  PORT: port,
} = process.env;

// #region api
const verifier = createVerifier({ issuer, audience: "https://broker.example", clientId, clientSecret });

const app = express();

app.post(
  "/orders",
  express.json(),
  countersigned(verifier, (req) => {
    const { account, symbol, quantity, limit_price, currency } = req.body;
    return { type: "create_order", account, symbol, quantity, limit_price, currency };
  }),
  (_req, res) => {
    const { action, approvedBy } = res.locals.countersign;
    res.status(201).json(place(action, approvedBy));
  },
);
// #endregion

app.get("/orders", (_req, res) => {
  res.json(placed);
});

const placed: object[] = [];

/** A real broker would send the order to the exchange here. */
function place({ type: _, ...order }: Action, approvedBy: readonly string[]) {
  const receipt = { id: `ORD-${1001 + placed.length}`, ...order, approvedBy };
  placed.push(receipt);
  return receipt;
}

const server = app.listen(Number(port), "127.0.0.1", () => {
  console.log(`the broker listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
