/**
 * Process log: one JSON line on standard error per audit entry that this process commits, and per fault. Readers of the
 * process log need not be readers of the audit log, so a line has ids and names that the operator chose, and no text of a person
 * or an agent. It is not evidence; it names the audit entry that is.
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
  /** Returns the store, with a log line for each committed entry. */
  readonly observe: (store: Store) => Store;
  /** Logs a response. Undefined unless `logging.access_log` is set. */
  readonly onResponse: ((route: string, status: number, seconds: number) => void) | undefined;
  /** Logs an event of the process itself. */
  readonly logEvent: (
    event: "started" | "stopping" | "stopped" | "reloaded" | "reload_rejected" | "control_socket_unavailable",
    fields: Readonly<Record<string, unknown>>,
  ) => void;
  readonly logFault: (error: unknown, operation: string) => void;
  /** Logs the fault that ends the process. The line is written before this returns. */
  readonly logCrash: (error: unknown) => void;
};

const warnings: ReadonlySet<string> = new Set(["reload_rejected", "control_socket_unavailable"]);

type Output = { readonly write: (line: string) => void; readonly flushSync?: () => void };

/** Lines are buffered for at most this time, or until this many bytes. */
const flushIntervalMs = 20;
const minFlushBytes = 8 * 1024;
/** With more unread bytes than this, lines are dropped and counted, so that memory is bounded. */
const maxQueuedBytes = 8 * 1024 * 1024;
/** Successful responses of these routes are not logged. */
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
      // Adds `trace_id` and `span_id`.
      mixin: getActiveTrace,
    },
    output,
  );
  const dedupe = createDedupe(() => performance.now());
  return {
    // At level `error` no entry is observed and no response measured.
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
    logEvent: (event, fields) => log[warnings.has(event) ? "warn" : "info"](fields, event),
    logFault: (fault, where) => {
      const description = describeFault(fault);
      const suppressed = dedupe(`${where} ${description.type} ${description.message}`);
      if (suppressed === undefined) return;
      log.error({ operation: where, ...(suppressed > 0 && { suppressed }), fault: description }, "fault");
    },
    logCrash: (fault) => log.fatal({ operation: "process", fault: describeFault(fault) }, "crash"),
  };

  function createStderrOutput(): Output {
    // Asynchronous, because a slow reader would delay every response; buffered, because a write costs more than a line. The
    // rest is written when the process exits normally.
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

/** Returns the time as RFC 3339. Cached per millisecond: formatting it takes as long as the rest of a line. */
function formatTimestamp(): string {
  const now = Date.now();
  if (now !== lastAt) {
    lastAt = now;
    lastTime = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTime;
}
