/** A span for each request that is served, in the trace that the caller's headers name (W3C Trace Context). */
import {
  context,
  type ProxyTracerProvider,
  propagation,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from "@opentelemetry/api";
import type { TlsPeer } from "./transport/peer.ts";
import type { Machine, ProtocolRequest } from "./transport/protocol-request.ts";

const tracer = trace.getTracer("countersign");

type Fetch = (request: Request, peer: TlsPeer) => Response | Promise<Response>;

/** Loaded only where there is OpenTelemetry. */
export type Tracing = { readonly traced: typeof traced; readonly tracedCall: typeof tracedCall };

/** The same function, where nobody has set up tracing when the server starts. */
export function traced(fetch: Fetch): Fetch {
  if (!isTracing()) return fetch;
  return (request, peer) => {
    const { pathname } = new URL(request.url);
    // Segments that are ids or secrets do not become names.
    const route = pathname
      .split("/")
      .slice(0, 3)
      .join("/")
      .replace(/^\/(enrol|requests|devices|register|action-types)\/.+/, "/$1/:id");
    const header = (name: string) => request.headers.get(name) ?? undefined;
    return inSpan(request.method, route, header, async () => await fetch(request, peer));
  };
}

/** The same of what machines post to one path. */
export function tracedCall(path: string, machine: Machine): Machine {
  if (!isTracing()) return machine;
  return (call, peer) => inSpan(call.method, path, call.header, () => machine(call, peer));
}

type Header = ProtocolRequest["header"];

/** The context is in headers of these names alone; what they are called is the propagator's to say. */
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
