/** A sample of the README. `quick-start.test.ts` runs it. */
// #region hono
import { createAgent } from "@countersign/agent";
import { callback } from "@countersign/agent/hono";
import { Hono } from "hono";

export const agent = createAgent(
  {
    issuer: process.env.COUNTERSIGN_ISSUER!,
    clientId: process.env.COUNTERSIGN_CLIENT_ID!,
    clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
  },
  { callback: { mode: "ping" } },
);

export const app = new Hono().post("/countersign", callback(agent));
// #endregion
