/**
 * What the process says while it runs: one line of JSON on standard error for everything that happens, and for each fault.
 * For whoever keeps the server running, on a screen or in a collector of logs that many people can read; so a line has ids
 * and names that the operator chose, and nothing that a person or an agent wrote. It is no evidence: that is the audit log,
 * whose entries it names. What happened is heard where it is counted, as the log's entries are committed.
 */
import { type Logger as PinoLogger, pino } from "pino";
import type { Config } from "../config/config.ts";
import { observeCommits } from "../store/observe-commits.ts";
import type { Store } from "../store/store.ts";
import { getActiveTrace } from "../tracing/tracing.ts";
import { createDedupe } from "./dedupe.ts";
import { toEntryFields } from "./entry-fields.ts";
import { describeFault } from "./format-error.ts";

export type Logger = {
  /** The same store, watched. */
  readonly observe: (store: Store) => Store;
  /** An answer to a request, by route and status; undefined where nobody wants a line for each. */
  readonly onResponse: ((route: string, status: number, seconds: number) => void) | undefined;
  /** What happens to the process itself. */
  readonly logEvent: (
    event: "started" | "stopping" | "stopped",
    fields: Readonly<Record<string, unknown>>,
  ) => void;
  readonly logFault: (error: unknown, operation: string) => void;
  /** The fault that ends the process. Written before this returns, as whatever is fatal is. */
  readonly logCrash: (error: unknown) => void;
};

type Output = { readonly write: (line: string) => void; readonly flushSync?: () => void };

/** Lines wait for each other so long, in milliseconds, or until there are so many bytes of them. */
const flushIntervalMs = 20;
const minFlushBytes = 8 * 1024;
/** What whoever reads has not taken yet, in bytes: then lines are dropped, and counted, rather than memory filled. */
const maxQueuedBytes = 8 * 1024 * 1024;
/** Whoever asks again and again whether the server lives is not news. */
const probeRoutes = new Set(["/livez", "/readyz"]);

export function openLogger({ level, accessLog }: Config["logging"], customOutput?: Output): Logger {
  const output = customOutput ?? createStderrOutput();
  const log: PinoLogger = pino(
    {
      level,
      base: undefined,
      messageKey: "event",
      timestamp: formatTimestamp,
      formatters: { level: (label) => ({ level: label }) },
      // A line of a trace can be found from it, and it from the line.
      mixin: getActiveTrace,
    },
    output,
  );
  const dedupe = createDedupe(() => performance.now());
  return {
    // Where nothing but faults is written, nothing is watched and nothing measured.
    observe: (store) =>
      level === "error"
        ? store
        : observeCommits(store, (entry) => {
            const { severity, fields } = toEntryFields(entry);
            log[severity](fields, entry.event);
          }),
    onResponse:
      accessLog && level !== "error"
        ? (route, status, seconds) => {
            if (probeRoutes.has(route) && status < 500) return;
            const fields = { route, status, ms: Math.round(seconds * 100_000) / 100 };
            log[status >= 500 ? "warn" : "info"](fields, "request");
          }
        : undefined,
    logEvent: (event, fields) => log.info(fields, event),
    logFault: (fault, where) => {
      const description = describeFault(fault);
      const suppressed = dedupe(`${where} ${description.type} ${description.message}`);
      if (suppressed === undefined) return;
      log.error({ operation: where, ...(suppressed > 0 && { suppressed }), fault: description }, "fault");
    },
    logCrash: (fault) => log.fatal({ operation: "process", fault: describeFault(fault) }, "crash"),
  };

  function createStderrOutput(): Output {
    // In the background, because whoever reads slowly would hold up every answer; several at a time, because a write costs more
    // than a line. What is left is written when the process ends by itself.
    const stream = pino.destination({
      dest: 2,
      sync: false,
      minLength: minFlushBytes,
      maxLength: maxQueuedBytes,
    });
    let isFlushScheduled = false;
    let dropped = 0;
    stream.on("drop", () => {
      dropped += 1;
    });
    stream.on("drain", () => {
      const lines = dropped;
      dropped = 0;
      if (lines > 0) log.warn({ lines }, "lines_dropped");
    });
    return {
      write: (line) => {
        stream.write(line);
        if (isFlushScheduled) return;
        isFlushScheduled = true;
        setTimeout(() => {
          isFlushScheduled = false;
          stream.flush();
        }, flushIntervalMs).unref();
      },
      flushSync: () => stream.flushSync(),
    };
  }
}

let lastAt = 0;
let lastTime = "";

/** RFC 3339. Lines of one millisecond share it: writing it out takes as long as the rest of a line. */
function formatTimestamp(): string {
  const now = Date.now();
  if (now !== lastAt) {
    lastAt = now;
    lastTime = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTime;
}
