/** Gauges read from the store on each scrape; every node reports the same. If the store does not respond, only these are missing. */
import { Gauge, type Registry } from "prom-client";
import type { Store } from "../store/store.ts";

/** Maximum age of a pending request in seconds, by label value. */
const maxAgeSeconds = { "10s": 10, "30s": 30, "1m": 60, "2m": 120, "5m": 300, any: Number.POSITIVE_INFINITY };
/** At most this many pending requests are read per scrape. */
const maxCounted = 10_000;
/** Prometheus aborts a scrape after 10 seconds by default and would then get no metric at all. */
const timeoutMs = 2_000;

type StoreGaugeValues = { readonly waitingSeconds: readonly number[]; readonly unsigned: number };

/** Registers the gauges. Returns a function that updates them. */
export function createStoreGauges(registers: Registry[]): (store: Store) => Promise<void> {
  const up = new Gauge({
    name: "countersign_store_up",
    help: `1 if the store responded within ${timeoutMs / 1000} seconds, otherwise 0; then the gauges that are read from it are missing`,
    registers,
  });
  const waiting = new Gauge({
    name: "countersign_pending_requests",
    help: `Pending requests that are at most this old; at most ${maxCounted} are counted`,
    labelNames: ["within"] as const,
    registers,
  });
  const oldest = new Gauge({
    name: "countersign_oldest_pending_request_seconds",
    help: "Age of the oldest pending request",
    registers,
  });
  const unsigned = new Gauge({
    name: "countersign_log_unsigned_entries",
    help: "Log entries that no checkpoint covers yet",
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
