/**
 * Traces (OpenTelemetry), where whoever runs the server has set up an SDK; otherwise all of this does nothing. A request
 * waits for a person longer than any call lasts, so it carries the context of its ask (W3C Trace Context) until it ends.
 */
import { createRequire } from "node:module";
import type * as OpenTelemetry from "@opentelemetry/api";
import type { ApprovalRequest } from "../domain/request/request.ts";

/** Under which an SDK leaves what it set up, for every copy of the API of this major version. */
const registered = Symbol.for("opentelemetry.js.api.1");
const require = createRequire(import.meta.url);

/** The API, where anything has been set up behind it; its many files are no part of a start without. */
export function openTelemetry(): typeof OpenTelemetry | undefined {
  return registered in globalThis ? require("@opentelemetry/api") : undefined;
}

/** The `traceparent` of what is under way, for later. */
export function getTraceparent(): string | undefined {
  const api = openTelemetry();
  if (!api?.trace.getActiveSpan()) return undefined;
  const { context, propagation } = api;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** By which a line of a log and the trace that it is part of can be found from each other. */
export function getActiveTrace(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = openTelemetry()?.trace.getActiveSpan()?.spanContext();
  return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
}

/** One span for as long as a person was waited for, in the trace of the ask. */
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

/** A call that nobody is waiting for, made in the trace of the ask that it goes back to. A throw is one here, too. */
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
      // Without its words: they may name whom it was for.
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Ties what is under way, usually a later call of the agent or its API, to the ask that it goes back to. */
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
