import { Readable } from "node:stream";
import type { RequestHandler } from "express";
import type { Agent } from "./agent.ts";

/**
 * Creates the handler of the agent's callback endpoint for Express. Reads the body itself, or uses the body that
 * `express.json()` or another parser has read.
 *
 * @param agent - An agent with the `callback` option.
 * @returns The handler. It rejects only with an error of the application's store.
 * @example
 * app.post("/countersign", callback(agent));
 */
export function callback(agent: Pick<Agent, "receive">): RequestHandler {
  return async (req, res) => {
    const answer = await agent.receive(
      new Request("http://callback.invalid/", {
        method: req.method,
        headers: {
          authorization: req.headers.authorization ?? "",
          "content-type": req.headers["content-type"] ?? "",
        },
        body: bodyOf(req),
        duplex: "half",
      } as RequestInit),
    );
    res.status(answer.status).set(Object.fromEntries(answer.headers)).end();
  };
}

function bodyOf(req: Parameters<RequestHandler>[0]): BodyInit | null {
  const { method, body } = req;
  if (method === "GET" || method === "HEAD") return null;
  if (body === undefined) return Readable.toWeb(req) as ReadableStream<Uint8Array>;
  return typeof body === "string" || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body);
}
