import type { Handler } from "hono";
import type { Agent } from "./agent.ts";

/**
 * Creates the handler of the agent's callback endpoint for Hono.
 *
 * @param agent - An agent with the `callback` option.
 * @returns The handler. It rejects only with an error of the application's store.
 * @example
 * app.post("/countersign", callback(agent));
 */
export function callback(agent: Pick<Agent, "receive">): Handler {
  return (c) => agent.receive(c.req.raw);
}
