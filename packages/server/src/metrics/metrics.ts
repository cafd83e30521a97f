/**
 * What an operator wants to know at three in the morning, as Prometheus asks for it: who is waiting and for how long, how
 * decisions go, what does not arrive, what is refused and why, how long the disk takes. Nothing is counted where it is
 * done: each change carries its log entries, and they are counted as they are committed, so that the numbers and the log
 * cannot tell two stories. Nothing here holds a name, a text or a secret; it never changes what happens.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Change, NewEntry, PassingChange, Store } from "../store/store.ts";

export type Metrics = {
  /** The same store, watched. */
  readonly observe: (store: Store) => Store;
  /** An answer to a request, by route and status. */
  readonly answered: (route: string, status: number, seconds: number) => void;
  /** In Prometheus' text format. */
  readonly scrape: () => Promise<{ readonly contentType: string; readonly text: string }>;
};

/** Seconds. People decide within minutes; disks answer within milliseconds. */
const decisionBuckets = [2, 5, 10, 20, 30, 60, 90, 120, 300, 600, 1800];
const commitBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10];
const answerBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 30];
/** Seconds that a request has been waiting. */
const ages = [10, 30, 60, 120, 300];
/** More requests than this are not counted one by one while somebody waits for an answer. */
const counted = 10_000;

export function openMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  let watched: Store | undefined;

  const requests = new Counter({
    name: "countersign_requests_total",
    help: "What became of requests: created, approved, denied, expired, lapsed, cancelled",
    labelNames: ["event", "type"] as const,
    registers,
  });
  const refused = new Counter({
    name: "countersign_asks_refused_total",
    help: "Asks that were refused before anybody was disturbed, by error, and by the limit that they met",
    labelNames: ["error", "limit"] as const,
    registers,
  });
  const decisions = new Counter({
    name: "countersign_decisions_total",
    help: "Decisions of people, by verdict and by how they proved who they are",
    labelNames: ["verdict", "level"] as const,
    registers,
  });
  const decisionSeconds = new Histogram({
    name: "countersign_decision_seconds",
    help: "From the ask to the decision",
    labelNames: ["verdict"] as const,
    buckets: decisionBuckets,
    registers,
  });
  const messages = new Counter({
    name: "countersign_messages_total",
    help: "Messages to approvers that were sent, or given up",
    labelNames: ["outcome", "channel"] as const,
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
  const answers = new Histogram({
    name: "countersign_http_answer_seconds",
    help: "Answers of the HTTP endpoints; polls that wait include their wait",
    labelNames: ["route", "status"] as const,
    buckets: answerBuckets,
    registers,
  });
  new Gauge({
    name: "countersign_requests_waiting",
    help: `Requests that wait for a decision, by how long they have at most waited in seconds; at most ${counted} are counted`,
    labelNames: ["le"] as const,
    registers,
    async collect() {
      const waiting = await waitingNow();
      for (const age of ages)
        this.set({ le: String(age) }, waiting.filter((seconds) => seconds <= age).length);
      this.set({ le: "+Inf" }, waiting.length);
    },
  });
  new Gauge({
    name: "countersign_oldest_waiting_seconds",
    help: "How long the request that waits longest has been waiting",
    registers,
    async collect() {
      this.set((await waitingNow()).reduce((oldest, seconds) => Math.max(oldest, seconds), 0));
    },
  });
  new Gauge({
    name: "countersign_log_unsigned_entries",
    help: "Entries of the log that no checkpoint covers yet",
    registers,
    async collect() {
      if (!watched) return;
      const newest = await watched.log.newestCheckpoint();
      this.set((await watched.log.size()) - (newest?.size ?? 0));
    },
  });

  async function waitingNow(): Promise<readonly number[]> {
    if (!watched) return [];
    const now = watched.now();
    const created = await watched.waitingSince(now, counted);
    return created.map((at) => Math.max(0, (now - at) / 1000));
  }

  /** `writes` tells how old a request was when it was decided, and of which type it is. */
  function count({ entry }: NewEntry, writes: Change["writes"]): void {
    const { event, facts = {} } = entry;
    const text = (name: string) => String(facts[name] ?? "");
    const [about = "", what = ""] = event.split(".");
    if (event === "request.refused") refused.inc({ error: text("error"), limit: text("limit") });
    else if (about === "request") {
      const approval = writes.flatMap((write) =>
        "put" in write && write.put === "approval" ? write.record : [],
      )[0];
      requests.inc({ event: what, type: approval?.parts.map(({ type }) => type).join("+") ?? "" });
      if (what !== "approved" && what !== "denied") return;
      const verdict = what === "approved" ? "approve" : "deny";
      decisions.inc({ verdict, level: what === "approved" ? text("level") : "session" });
      if (approval) decisionSeconds.observe({ verdict }, (entry.at - approval.createdAt) / 1000);
    } else if (about === "message") messages.inc({ outcome: what, channel: text("channel") });
    else if (about === "callback") callbacks.inc({ outcome: what, mode: text("mode") });
    else if (about === "token") tokens.inc({ event: what });
    else if (event === "spend.refused") spendsRefused.inc({ error: text("error") });
  }

  return {
    observe: (store) => {
      watched = store;
      const timed = async <C extends Change | PassingChange>(
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
      return {
        ...store,
        commit: async (change) => {
          const outcome = await timed(store.commit, change);
          if (outcome === "committed") for (const entry of change.entries) count(entry, change.writes);
          return outcome;
        },
        pass: (change) => timed(store.pass, change),
      };
    },
    answered: (route, status, seconds) => answers.observe({ route, status: String(status) }, seconds),
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
