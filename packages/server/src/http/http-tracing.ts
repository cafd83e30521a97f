/** One server span for each request, in the trace of the caller's headers (W3C Trace Context). */
import {
  context,
  type ProxyTracerProvider,
  propagation,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from "@opentelemetry/api";
import type { ProtocolRequest } from "./transport/protocol-request.ts";

const tracer = trace.getTracer("countersign");

type Serve<A extends readonly unknown[], R> = (call: ProtocolRequest, ...rest: A) => R | Promise<R>;

/** Loaded only if OpenTelemetry is installed. */
export type Tracing = { readonly traceServe: typeof traceServe };

/** Wraps the function that serves a route in a server span. Returns it unchanged if no tracer provider is registered. */
export function traceServe<A extends readonly unknown[], R extends { readonly status: number }>(
  path: string,
  serve: Serve<A, R>,
): Serve<A, R> {
  if (!isTracing()) return serve;
  return (call, ...rest) => inSpan(call.method, path, call.header, async () => await serve(call, ...rest));
}

type Header = ProtocolRequest["header"];

/** Reads only the headers that the propagator names. */
const headers: TextMapGetter<Header> = {
  get: (header, name) => header(name),
  keys: (header) => propagation.fields().filter((name) => header(name) !== undefined),
};

function inSpan<A extends { readonly status: number }>(
  method: string,
  route: string,
  header: Header,
  answer: () => Promise<A>,
): Promise<A> {
  const caller = propagation.extract(context.active(), header, headers);
  const attributes = { "http.request.method": method, "http.route": route };
  return tracer.startActiveSpan(
    `${method} ${route}`,
    { kind: SpanKind.SERVER, attributes },
    caller,
    async (span) => {
      try {
        const answered = await answer();
        span.setAttribute("http.response.status_code", answered.status);
        if (answered.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        return answered;
      } finally {
        span.end();
      }
    },
  );
}

function isTracing(): boolean {
  const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
  const registered = provider.getDelegate?.() ?? provider;
  return registered.constructor.name !== "NoopTracerProvider";
}
