/**
 * What an operator wants to know at three in the morning, as Prometheus asks for it: who is waiting and for how long, how
 * decisions go, what does not arrive, what is refused and why, how long the disk takes. Nothing is counted where it is
 * done: each change carries its log entries, and they are counted as they are committed, so that the numbers and the log
 * cannot tell two stories. Nothing here holds a name, a text or a secret; it never changes what happens.
 */

import type { Entry } from "@countersign/protocol";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { findEvent } from "../audit/event.ts";
import type { Channel } from "../job/deliver-message.ts";
import { observeCommits } from "../store/observe-commits.ts";
import type { Change, Store, UnloggedChange } from "../store/store.ts";
import { createStoreGauges } from "./store-gauges.ts";

export type Metrics = {
  /** The same store, watched. */
  readonly observe: (store: Store) => Store;
  /** The same channel, each attempt counted, also those that are made again. */
  readonly instrumentChannel: (channel: Channel) => Channel;
  /** What became of a connection to the database, where the store has them. */
  readonly onConnection: (event: "opened" | "lost" | "failed") => void;
  /** An answer to a request, by route and status. */
  readonly onResponse: (route: string, status: number, seconds: number) => void;
  /** In Prometheus' text format. */
  readonly scrape: () => Promise<{ readonly contentType: string; readonly text: string }>;
};

/** Seconds. People decide within minutes; disks answer within milliseconds. */
const decisionBuckets = [2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 7200, 86_400];
const commitBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10];
const responseBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 30];
export function openMetrics(version: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  new Gauge({
    name: "countersign_info",
    help: "Always 1: which version this process runs",
    labelNames: ["version"] as const,
    registers,
  }).set({ version }, 1);
  let observedStore: Store | undefined;

  const requests = new Counter({
    name: "countersign_requests_total",
    help: "What became of requests: created, approved, denied, expired, lapsed, cancelled; of several types at once as such",
    labelNames: ["event", "type"] as const,
    registers,
  });
  const asksRefused = new Counter({
    name: "countersign_requests_refused_total",
    help: "Asks that were refused before anybody was disturbed, by error, and by the gate or the limit that they met",
    labelNames: ["error", "gate", "limit"] as const,
    registers,
  });
  const decisions = new Counter({
    name: "countersign_decisions_total",
    help: "Decisions of people, by verdict, by how they proved who they are, and by the channel whose link led them there",
    labelNames: ["verdict", "level", "channel"] as const,
    registers,
  });
  const decisionSeconds = new Histogram({
    name: "countersign_decision_seconds",
    help: "From the ask to the decision, by verdict and by the channel whose link led there",
    labelNames: ["verdict", "channel"] as const,
    buckets: decisionBuckets,
    registers,
  });
  const messages = new Counter({
    name: "countersign_messages_total",
    help: "Messages to approvers that were sent, or given up",
    labelNames: ["outcome", "channel"] as const,
    registers,
  });
  const attempts = new Histogram({
    name: "countersign_message_attempt_seconds",
    help: "Attempts to hand a message to its channel, by outcome: sent, failed",
    labelNames: ["outcome", "channel"] as const,
    buckets: responseBuckets,
    registers,
  });
  const callbacks = new Counter({
    name: "countersign_callbacks_total",
    help: "Attempts to reach agents that are pinged or pushed to",
    labelNames: ["outcome", "mode"] as const,
    registers,
  });
  const tokens = new Counter({
    name: "countersign_tokens_total",
    help: "What became of tokens: issued, reserved, completed, failed, unknown, expired, revoked",
    labelNames: ["event"] as const,
    registers,
  });
  const spendsRefused = new Counter({
    name: "countersign_spends_refused_total",
    help: "Reservations that were refused, by reason",
    labelNames: ["error"] as const,
    registers,
  });
  const commitSeconds = new Histogram({
    name: "countersign_commit_seconds",
    help: "From handing a change over until it is on disk",
    labelNames: ["outcome"] as const,
    buckets: commitBuckets,
    registers,
  });
  const connections = new Counter({
    name: "countersign_store_connections_total",
    help: "Connections to PostgreSQL: opened, lost while this process wanted them, failed to be made",
    labelNames: ["event"] as const,
    registers,
  });
  const responses = new Histogram({
    name: "countersign_http_request_duration_seconds",
    help: "Answers of the HTTP endpoints; polls that wait include their wait",
    labelNames: ["route", "status"] as const,
    buckets: responseBuckets,
    registers,
  });
  const refresh = createStoreGauges(registers);

  /** `writes` tells how old a request was when it was decided, and of which type it is. */
  function countEntry(entry: Entry, writes: Change["writes"]): void {
    const { event, facts = {} } = entry;
    const text = (name: string) => String(facts[name] ?? "");
    const verb = event.slice(event.indexOf(".") + 1);
    const metric = findEvent(event)?.metric;
    if (metric === "requestsRefused")
      asksRefused.inc({ error: text("error"), gate: text("gate"), limit: text("limit") });
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
    } else if (metric === "messages") messages.inc({ outcome: verb, channel: text("channel") });
    else if (metric === "callbacks") callbacks.inc({ outcome: verb, mode: text("mode") });
    else if (metric === "tokens") tokens.inc({ event: verb });
    else if (metric === "spendsRefused") spendsRefused.inc({ error: text("error") });
  }

  return {
    instrumentChannel: (channel) => ({
      name: channel.name,
      send: async (notice) => {
        const startedAt = performance.now();
        let outcome = "failed";
        try {
          await channel.send(notice);
          outcome = "sent";
        } finally {
          attempts.observe({ outcome, channel: channel.name }, (performance.now() - startedAt) / 1000);
        }
      },
    }),
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

/** Few series, whatever agents put together: an action of several types is counted as that. */
function toTypeLabel(parts: readonly { readonly type: string }[]): string {
  const [first = "", ...more] = new Set(parts.map(({ type }) => type));
  return more.length > 0 ? "several" : first;
}
