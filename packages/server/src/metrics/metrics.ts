/**
 * Prometheus metrics: pending requests by age, decisions, deliveries, refusals, duration of commits and responses. Counters
 * are derived from audit entries when these are committed, so that metrics and log agree. Labels contain no name, text or
 * secret.
 */

import type { Entry } from "@countersign/protocol";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { findEvent } from "../audit/event.ts";
import type { OpenChannel } from "../channel/channel.ts";
import { observeCommits } from "../store/observe-commits.ts";
import type { Change, Store, UnloggedChange } from "../store/store.ts";
import { createStoreGauges } from "./store-gauges.ts";

export type Metrics = {
  /** Returns the store, with its commits measured and its entries counted. */
  readonly observe: (store: Store) => Store;
  /** Returns the channel, with each attempt measured, retries included. */
  readonly instrumentChannel: (name: string, channel: OpenChannel) => OpenChannel;
  /** Counts an event of a database connection (PostgreSQL only). */
  readonly onConnection: (event: "opened" | "lost" | "failed") => void;
  /** Measures a response, by route and status. */
  readonly onResponse: (route: string, status: number, seconds: number) => void;
  /** Returns all metrics in Prometheus text format. */
  readonly scrape: () => Promise<{ readonly contentType: string; readonly text: string }>;
};

/** In seconds. Approvers decide within minutes; disks respond within milliseconds. */
const decisionBuckets = [2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 7200, 86_400];
const commitBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10];
const responseBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 30];
export function openMetrics(version: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  new Gauge({
    name: "countersign_info",
    help: "Always 1, with the version of this process",
    labelNames: ["version"] as const,
    registers,
  }).set({ version }, 1);
  let observedStore: Store | undefined;

  const requests = new Counter({
    name: "countersign_requests_total",
    help: "Requests created, approved, denied, expired, lapsed and cancelled; type is several for a request with more than one",
    labelNames: ["event", "type"] as const,
    registers,
  });
  const asksRefused = new Counter({
    name: "countersign_requests_refused_total",
    help: "Requests refused before an approver was notified, by error, stage and limit",
    labelNames: ["error", "stage", "limit"] as const,
    registers,
  });
  const decisions = new Counter({
    name: "countersign_decisions_total",
    help: "Decisions, by verdict, authentication level and the channel whose link was used",
    labelNames: ["verdict", "level", "channel"] as const,
    registers,
  });
  const decisionSeconds = new Histogram({
    name: "countersign_decision_seconds",
    help: "Seconds from the request to its decision, by verdict and the channel whose link was used",
    labelNames: ["verdict", "channel"] as const,
    buckets: decisionBuckets,
    registers,
  });
  const messages = new Counter({
    name: "countersign_messages_total",
    help: "Messages to approvers that were sent or abandoned; kind is requested, or resolved for edits of sent messages",
    labelNames: ["outcome", "channel", "kind"] as const,
    registers,
  });
  const attempts = new Histogram({
    name: "countersign_message_attempt_seconds",
    help: "Duration of attempts to send a message, by outcome: sent, failed",
    labelNames: ["outcome", "channel"] as const,
    buckets: responseBuckets,
    registers,
  });
  const callbacks = new Counter({
    name: "countersign_callbacks_total",
    help: "Callbacks to agents that were sent, failed or abandoned, by delivery mode",
    labelNames: ["outcome", "mode"] as const,
    registers,
  });
  const tokens = new Counter({
    name: "countersign_tokens_total",
    help: "Tokens issued, reserved, completed, failed, unknown, expired and revoked",
    labelNames: ["event"] as const,
    registers,
  });
  const spendsRefused = new Counter({
    name: "countersign_spends_refused_total",
    help: "Refused reservations, by error",
    labelNames: ["error"] as const,
    registers,
  });
  const commitSeconds = new Histogram({
    name: "countersign_commit_seconds",
    help: "Duration of a commit until it is durable",
    labelNames: ["outcome"] as const,
    buckets: commitBuckets,
    registers,
  });
  const connections = new Counter({
    name: "countersign_store_connections_total",
    help: "PostgreSQL connections that were opened, were lost, or failed to open",
    labelNames: ["event"] as const,
    registers,
  });
  const responses = new Histogram({
    name: "countersign_http_request_duration_seconds",
    help: "Duration of HTTP responses; long polls include their wait",
    labelNames: ["route", "status"] as const,
    buckets: responseBuckets,
    registers,
  });
  const refresh = createStoreGauges(registers);

  /** Counts an entry. The request in `writes` provides its age at the decision and its type. */
  function countEntry(entry: Entry, writes: Change["writes"]): void {
    const { event, facts = {} } = entry;
    const text = (name: string) => String(facts[name] ?? "");
    const verb = event.slice(event.indexOf(".") + 1);
    const metric = findEvent(event)?.metric;
    if (metric === "requestsRefused")
      asksRefused.inc({ error: text("error"), stage: text("stage"), limit: text("limit") });
    else if (metric === "requests") {
      const request = writes.flatMap((write) =>
        "put" in write && write.put === "request" ? write.record : [],
      )[0];
      requests.inc({ event: verb, type: request ? toTypeLabel(request.parts) : "" });
      if (verb !== "approved" && verb !== "denied") return;
      const verdict = verb === "approved" ? "approve" : "deny";
      const channel = text("channel") || "inbox";
      decisions.inc({ verdict, level: verb === "approved" ? text("level") : "session", channel });
      if (request) decisionSeconds.observe({ verdict, channel }, (entry.at - request.createdAt) / 1000);
    } else if (metric === "messages")
      messages.inc({ outcome: verb, channel: text("channel"), kind: text("kind") });
    else if (metric === "callbacks") callbacks.inc({ outcome: verb, mode: text("mode") });
    else if (metric === "tokens") tokens.inc({ event: verb });
    else if (metric === "spendsRefused") spendsRefused.inc({ error: text("error") });
  }

  return {
    instrumentChannel: (channel, open) => {
      const measure = async <T>(call: () => Promise<T>): Promise<T> => {
        const startedAt = performance.now();
        let outcome = "failed";
        try {
          const result = await call();
          outcome = "sent";
          return result;
        } finally {
          attempts.observe({ outcome, channel }, (performance.now() - startedAt) / 1000);
        }
      };
      const { update } = open;
      return {
        ...open,
        send: (...options) => measure(() => open.send(...options)),
        ...(update && { update: (...options) => measure(() => update(...options)) }),
      };
    },
    onConnection: (event) => connections.inc({ event }),
    observe: (store) => {
      observedStore = store;
      const timeWrite = async <C extends Change | UnloggedChange>(
        write: (change: C) => ReturnType<Store["commit"]>,
        change: C,
      ) => {
        const startedAt = performance.now();
        try {
          const outcome = await write(change);
          commitSeconds.observe({ outcome }, (performance.now() - startedAt) / 1000);
          return outcome;
        } catch (error) {
          commitSeconds.observe({ outcome: "fault" }, (performance.now() - startedAt) / 1000);
          throw error;
        }
      };
      const timedStore: Store = {
        ...store,
        commit: (change) => timeWrite(store.commit, change),
        commitUnlogged: (change) => timeWrite(store.commitUnlogged, change),
      };
      return observeCommits(timedStore, countEntry);
    },
    onResponse: (route, status, seconds) => responses.observe({ route, status: String(status) }, seconds),
    scrape: async () => {
      if (observedStore) await refresh(observedStore);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Returns the type, or `several`, which bounds the number of series. */
function toTypeLabel(parts: readonly { readonly type: string }[]): string {
  const [first = "", ...more] = new Set(parts.map(({ type }) => type));
  return more.length > 0 ? "several" : first;
}
