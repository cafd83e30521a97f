/** The callback endpoint for Hono: `app.post("/countersign", callback(agent))`. */
import type { Handler } from "hono";
import type { Agent } from "./agent.ts";

export function callback(agent: Pick<Agent, "receive">): Handler {
  return (c) => agent.receive(c.req.raw);
}
