/** One trace from the agent through the server to the API, with an SDK set up as an operator would: before the server starts. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createAgent } from "@countersign/agent";
import { createCallbackHarness } from "@countersign/testing/server/callback-harness";
import { issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier } from "@countersign/verifier";
import { context, propagation, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
beforeTests(() => void provider.register());
const deployment = useDeployment({ now: Date.now, approvers: [] });
after(async () => {
  await provider.shutdown();
});

/** As instrumentation of `fetch` does it: the context goes along in the headers. */
const instrumented = (async (input: string | URL, init: RequestInit = {}) => {
  const headers = new Headers(init.headers);
  propagation.inject(context.active(), headers, { set: (carrier, name, value) => carrier.set(name, value) });
  return await deployment.server.fetch(new Request(input, { ...init, headers }));
}) as typeof fetch;

describe("tracing", () => {
  test("puts request, wait for a person, redemption and spend into one trace", async () => {
    const ada = await deployment.enrol("ada@example.com");
    const agent = createAgent(
      { issuer, clientId: deployment.agent.id, clientSecret: deployment.agent.secret },
      { fetch: instrumented },
    );
    const verifier = createVerifier({
      issuer,
      audience: "https://refunds.example",
      clientId: deployment.api.id,
      clientSecret: deployment.api.secret,
      fetch: instrumented,
    });
    exporter.reset();
    const root = await trace.getTracer("agent").startActiveSpan("refund an order", async (span) => {
      const asked = await agent.ask({ approver: "ada@example.com", action: refund });
      assert.ok(asked.outcome === "asked");
      await ada.decide(toRequestId(asked.ask.authReqId), "approve");
      const approved = await agent.redeem(asked.ask);
      assert.ok(approved.outcome === "approved");
      const spent = await verifier.spend(`Bearer ${approved.token}`, refund, () => "done");
      assert.equal(spent.outcome, "done");
      span.end();
      return span.spanContext();
    });

    const spans = exporter.getFinishedSpans();
    const of = (name: string) => spans.filter((span) => span.name === name);
    for (const name of ["POST /bc-authorize", "wait for a person", "POST /oauth/token", "POST /spend"]) {
      const [span] = of(name);
      assert.ok(span, name);
      assert.equal(span.spanContext().traceId, root.traceId, name);
    }
    const [ask, wait, token] = ["POST /bc-authorize", "wait for a person", "POST /oauth/token"].map(
      (name) => of(name)[0]!,
    );
    assert.equal(wait?.parentSpanContext?.spanId, ask?.spanContext().spanId);
    assert.equal(wait?.attributes["countersign.end"], "approve");
    assert.deepEqual(
      token?.links.map(({ context: linked }) => linked.spanId),
      [ask?.spanContext().spanId],
    );
    // A browser sends no context: its spans are others' traces, and none of them holds an id or a secret in its name.
    const names = spans.map(({ name }) => name).join("\n");
    assert.doesNotMatch(names, /req_/);
  });

  test("writes no trace context into log entries", async () => {
    const entries = await deployment.server.store.log.newest(100);
    assert.ok(entries.every(({ line }) => !line.includes("traceparent")));
  });

  test("sends a ping in the trace of its request", async (t) => {
    const harness = await createCallbackHarness();
    t.after(() => harness.close());
    const agent = await harness.registerAgent("pinged", "ping");
    const asking = "0af7651916cd43dd8448eb211c80319c";
    const { body } = await agent.ask({}, { traceparent: `00-${asking}-b7ad6b7169203331-01` });
    await harness.ada.decide(toRequestId(body.auth_req_id), "approve");
    await harness.receiver.waitForCount(1);
    await harness.advance(0);
    const sent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(
      String(harness.receiver.received[0]?.headers.traceparent),
    );
    assert.equal(sent?.[1], asking);
    const span = exporter.getFinishedSpans().find(({ name }) => name === "ping");
    assert.equal(span?.spanContext().spanId, sent?.[2]);
  });
});
