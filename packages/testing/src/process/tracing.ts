/**
 * Preloaded into a process: an OpenTelemetry SDK that appends each span as a line of JSON to the file COUNTERSIGN_SPANS.
 * `fetch` propagates the context, as its instrumentation does.
 */
import { appendFileSync } from "node:fs";
import { context, propagation, SpanKind, trace } from "@opentelemetry/api";
import { NodeTracerProvider, SimpleSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-node";

export type WrittenSpan = {
  readonly process: string;
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly links: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
};

const { COUNTERSIGN_SPANS: file = "", COUNTERSIGN_PARTY: party = "server" } = process.env;

const exporter: SpanExporter = {
  export: (spans, done) => {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const written: WrittenSpan = {
        process: party,
        name: span.name,
        trace: traceId,
        id: spanId,
        parent: span.parentSpanContext?.spanId,
        links: span.links.map(({ context: linked }) => linked.spanId),
        attributes: span.attributes,
      };
      appendFileSync(file, `${JSON.stringify(written)}\n`);
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();

const plain = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const request = new Request(input, init);
  const { pathname } = new URL(request.url);
  const options = { kind: SpanKind.CLIENT };
  return trace.getTracer("fetch").startActiveSpan(`${request.method} ${pathname}`, options, async (span) => {
    propagation.inject(context.active(), request.headers, { set: (to, name, value) => to.set(name, value) });
    try {
      return await plain(request);
    } finally {
      span.end();
    }
  });
};
