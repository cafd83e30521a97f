/** A sample of the README, as code that runs: `quick-start.test.ts` runs it. */
// #region express
import { callback } from "@countersign/agent/express";
import express from "express";
import { agent } from "./quick-start-hono.ts";

export const app = express();

app.post("/countersign", callback(agent));
// #endregion
