/**
 * The agent or the API of the tracing test, by COUNTERSIGN_PARTY. The agent asks, waits for the approval and calls the API;
 * the API spends the token. The other environment variables are the URLs and credentials.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createAgent } from "@countersign/agent";
import { createVerifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/fetch";
import { createAdaptorServer } from "@hono/node-server";
import { context, propagation, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { refund } from "../server/deployment.ts";

const {
  ISSUER: issuer = "",
  SERVER: server = "",
  CLIENT_ID: clientId = "",
  CLIENT_SECRET: clientSecret = "",
} = process.env;

/** Sends requests for the issuer's URL to the server under test. */
const fetchFromServer: typeof fetch = (input, init) => fetch(String(input).replace(issuer, server), init);

if (process.env.COUNTERSIGN_PARTY === "api") {
  const verifier = createVerifier({
    issuer,
    audience: "https://refunds.example",
    clientId,
    clientSecret,
    fetch: fetchFromServer,
  });
  const handler = countersigned(
    verifier,
    async (request) => ({ ...refund, order: String((await request.json()).order) }),
    () => new Response("refunded"),
  );
  // As server instrumentation does.
  const traced = (request: Request) => {
    const caller = propagation.extract(ROOT_CONTEXT, Object.fromEntries(request.headers));
    const options = { kind: SpanKind.SERVER };
    return trace.getTracer("api").startActiveSpan("POST /refunds", options, caller, async (span) => {
      try {
        return await handler(request);
      } finally {
        span.end();
      }
    });
  };
  const listener = createAdaptorServer({ fetch: traced, createServer });
  listener.listen(0, "127.0.0.1", () => console.log(`port ${(listener.address() as AddressInfo).port}`));
} else {
  const agent = createAgent({ issuer, clientId, clientSecret }, { fetch: fetchFromServer });
  await trace.getTracer("agent").startActiveSpan("refund an order", async (span) => {
    const asked = await agent.ask({ approver: "ada@example.com", action: { ...refund, order: "T-1" } });
    if (asked.outcome !== "asked") throw new Error(asked.outcome);
    console.log(`asked ${asked.ask.authReqId.split(".")[0]}`);
    const outcome = await agent.wait(asked.ask);
    if (outcome.outcome !== "approved") throw new Error(outcome.outcome);
    const answer = await fetch(process.env.API ?? "", {
      method: "POST",
      headers: { authorization: `Bearer ${outcome.token}`, "content-type": "application/json" },
      body: JSON.stringify({ order: "T-1" }),
    });
    console.log(
      `answered ${answer.status} ${await answer.text()} in ${context.active() === ROOT_CONTEXT ? "no" : "a"} trace`,
    );
    span.end();
  });
}
