/** The callback endpoint for Express: `app.post("/countersign", callback(agent))`. */
import { Readable } from "node:stream";
import type { RequestHandler } from "express";
import type { Agent } from "./agent.ts";

/** It reads the body itself; behind `express.json()` or another parser it makes do with what that has left. */
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
