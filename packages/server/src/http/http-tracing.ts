/** Creates a server span for each request, as a child of the trace in the request's headers (W3C Trace Context). */
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

type TraceableServe<A extends readonly unknown[], R> = (
  request: ProtocolRequest,
  ...rest: A
) => R | Promise<R>;

/** Loaded only if OpenTelemetry is installed. */
export type Tracing = { readonly traceServe: typeof traceServe };

/** Wraps the function that serves a route in a server span. Returns it unchanged if no tracer provider is registered. */
export function traceServe<A extends readonly unknown[], R extends { readonly status: number }>(
  path: string,
  serve: TraceableServe<A, R>,
): TraceableServe<A, R> {
  if (!isTracing()) return serve;
  return (request, ...rest) =>
    runInSpan(request.method, path, request.header, async () => await serve(request, ...rest));
}

type Header = ProtocolRequest["header"];

/** Reads only the headers that the propagator names. */
const headerGetter: TextMapGetter<Header> = {
  get: (header, name) => header(name),
  keys: (header) => propagation.fields().filter((name) => header(name) !== undefined),
};

function runInSpan<A extends { readonly status: number }>(
  method: string,
  route: string,
  header: Header,
  run: () => Promise<A>,
): Promise<A> {
  const parentContext = propagation.extract(context.active(), header, headerGetter);
  const attributes = { "http.request.method": method, "http.route": route };
  return tracer.startActiveSpan(
    `${method} ${route}`,
    { kind: SpanKind.SERVER, attributes },
    parentContext,
    async (span) => {
      try {
        const response = await run();
        span.setAttribute("http.response.status_code", response.status);
        if (response.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        return response;
      } finally {
        span.end();
      }
    },
  );
}

function isTracing(): boolean {
  const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
  const delegate = provider.getDelegate?.() ?? provider;
  return delegate.constructor.name !== "NoopTracerProvider";
}
