/** A span for each request that is served, in the trace that the caller's headers name (W3C Trace Context). */
import {
  context,
  type ProxyTracerProvider,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { Peer } from "./peer.ts";

const tracer = trace.getTracer("countersign");

type Fetch = (request: Request, peer: Peer) => Response | Promise<Response>;

const headers = {
  get: (carrier: Headers, name: string) => carrier.get(name) ?? undefined,
  keys: (carrier: Headers) => [...carrier.keys()],
};

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
    const caller = propagation.extract(context.active(), request.headers, headers);
    const attributes = { "http.request.method": request.method, "http.route": route };
    return tracer.startActiveSpan(
      `${request.method} ${route}`,
      { kind: SpanKind.SERVER, attributes },
      caller,
      async (span) => {
        try {
          const response = await fetch(request, peer);
          span.setAttribute("http.response.status_code", response.status);
          if (response.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          return response;
        } finally {
          span.end();
        }
      },
    );
  };
}

function isTracing(): boolean {
  const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
  const registered = provider.getDelegate?.() ?? provider;
  return registered.constructor.name !== "NoopTracerProvider";
}
