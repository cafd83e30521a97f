/** What the store says when Prometheus asks, the same on every node. A store that is away does not take the other numbers with it. */
import { Gauge, type Registry } from "prom-client";
import type { Store } from "../store/store.ts";

/** How long a request has been waiting, in seconds, by the name of the series. */
const maxAgeSeconds = { "10s": 10, "30s": 30, "1m": 60, "2m": 120, "5m": 300, any: Number.POSITIVE_INFINITY };
/** More requests than this are not counted one by one while somebody waits for an answer. */
const maxCounted = 10_000;
/** Prometheus waits for ten seconds unless told otherwise, and then has no number at all. */
const timeoutMs = 2_000;

type StoreGaugeValues = { readonly waitingSeconds: readonly number[]; readonly unsigned: number };

/** Answers how to bring the gauges up to date. */
export function createStoreGauges(registers: Registry[]): (store: Store) => Promise<void> {
  const up = new Gauge({
    name: "countersign_store_up",
    help: `1 if the store answered within ${timeoutMs / 1000} seconds, and otherwise 0: then what is read from it is left out`,
    registers,
  });
  const waiting = new Gauge({
    name: "countersign_pending_requests",
    help: `Requests that wait for a decision and have not waited for longer than this; at most ${maxCounted} are counted`,
    labelNames: ["within"] as const,
    registers,
  });
  const oldest = new Gauge({
    name: "countersign_oldest_pending_request_seconds",
    help: "How long the request that waits longest has been waiting",
    registers,
  });
  const unsigned = new Gauge({
    name: "countersign_log_unsigned_entries",
    help: "Entries of the log that no checkpoint covers yet",
    registers,
  });

  return async (store) => {
    const status = await withTimeout(readGaugeValues(store));
    up.set(status ? 1 : 0);
    if (!status) {
      waiting.reset();
      for (const gauge of [oldest, unsigned]) gauge.remove();
      return;
    }
    for (const [within, maxSeconds] of Object.entries(maxAgeSeconds))
      waiting.set({ within }, status.waitingSeconds.filter((seconds) => seconds <= maxSeconds).length);
    oldest.set(status.waitingSeconds.reduce((max, seconds) => Math.max(max, seconds), 0));
    unsigned.set(status.unsigned);
  };
}

async function readGaugeValues(store: Store): Promise<StoreGaugeValues> {
  const now = store.now();
  const created = await store.listPendingCreatedAt(now, maxCounted);
  const newest = await store.log.newestCheckpoint();
  return {
    waitingSeconds: created.map((at) => Math.max(0, (now - at) / 1000)),
    unsigned: (await store.log.size()) - (newest?.size ?? 0),
  };
}

async function withTimeout(promise: Promise<StoreGaugeValues>): Promise<StoreGaugeValues | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
