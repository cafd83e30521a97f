/** A sample of the README. `quick-start.test.ts` runs it. */
// #region express
import { callback } from "@countersign/agent/express";
import express from "express";
import { agent } from "./quick-start-hono.ts";

export const app = express();

app.post("/countersign", callback(agent));
// #endregion
