/**
 * OpenTelemetry tracing. Does nothing unless the operator has registered an SDK. A request outlives the call that created
 * it, so its record stores the trace context of that call (W3C Trace Context) for later spans.
 */
import { createRequire } from "node:module";
import type * as OpenTelemetry from "@opentelemetry/api";
import type { ApprovalRequest } from "../domain/request/request.ts";

/** Global symbol under which an SDK registers itself with every copy of API version 1. */
const registered = Symbol.for("opentelemetry.js.api.1");
const require = createRequire(import.meta.url);

/** Returns the API if an SDK is registered. Loaded lazily, so that a start without an SDK does not load it. */
export function openTelemetry(): typeof OpenTelemetry | undefined {
  return registered in globalThis ? require("@opentelemetry/api") : undefined;
}

/** Returns the `traceparent` of the active span, to be stored; undefined if there is none. */
export function getTraceparent(): string | undefined {
  const api = openTelemetry();
  if (!api?.trace.getActiveSpan()) return undefined;
  const { context, propagation } = api;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** Returns the ids of the active span for log lines; empty if there is none. */
export function getActiveTrace(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = openTelemetry()?.trace.getActiveSpan()?.spanContext();
  return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
}

/** Records the wait for a decision as one span in the trace of the request. Times are milliseconds since the epoch. */
export function traceWait(request: ApprovalRequest, endedAt: number, how: string): void {
  const api = openTelemetry();
  if (!api || request.traceparent === undefined) return;
  const { propagation, ROOT_CONTEXT, trace } = api;
  const asked = propagation.extract(ROOT_CONTEXT, { traceparent: request.traceparent });
  const tracer = trace.getTracer("countersign");
  const attributes = { "countersign.request": request.id, "countersign.end": how };
  tracer.startSpan("wait for a person", { startTime: request.createdAt, attributes }, asked).end(endedAt);
}

type Traced = { readonly id: string; readonly traceparent?: string | undefined };

/** Runs a background call in a client span of the request's trace. Rethrows its error and marks the span as failed. */
export async function traceCall<T>(
  { id, traceparent: asked }: Traced,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const api = asked === undefined ? undefined : openTelemetry();
  if (!api) return await work();
  const { propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api;
  const parent = propagation.extract(ROOT_CONTEXT, { traceparent: asked });
  const options = { kind: SpanKind.CLIENT, attributes: { "countersign.request": id } };
  return await trace.getTracer("countersign").startActiveSpan(name, options, parent, async (span) => {
    try {
      return await work();
    } catch (error) {
      // Without the message: it may contain personal data.
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Links the active span, usually a later call of the agent or its API, to the trace of the request. */
export function traceLink(request: Traced): void {
  const api = openTelemetry();
  const span = api?.trace.getActiveSpan();
  if (!api || !span) return;
  span.setAttribute("countersign.request", request.id);
  if (request.traceparent === undefined) return;
  const { propagation, ROOT_CONTEXT, trace } = api;
  const asked = propagation.extract(ROOT_CONTEXT, { traceparent: request.traceparent });
  const linked = trace.getSpanContext(asked);
  if (linked) span.addLink({ context: linked });
}
