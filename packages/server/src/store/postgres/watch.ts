/**
 * Tells those who wait that something was written: at once for what this node wrote; by notification, within
 * milliseconds, for what another node wrote. A notification can be lost with its connection: when listening begins
 * again, and every few seconds if anything was logged meanwhile, those who wait are told to look for themselves.
 */
import { randomUUID } from "node:crypto";
import type { ChangeEvent, Store } from "../store.ts";
import type { Pool } from "./pool.ts";

const defaultPollMs = 5_000;
/** PostgreSQL takes fewer than 8,000 bytes. */
const maxPayloadLength = 7_000;

export type Watchers = {
  readonly watch: Store["watch"];
  /** The notifications that carry these wakes to other nodes. */
  readonly encodeNotifications: (changeEvents: readonly ChangeEvent[]) => readonly string[];
  readonly notify: (changeEvents: readonly ChangeEvent[]) => void;
  readonly open: () => Promise<void>;
  readonly close: () => void;
};

type Payload = { readonly from: string; readonly changeEvents: readonly (NonNullable<ChangeEvent> | null)[] };

export function openWatchers(
  pool: Pool,
  schema: string,
  channel: string,
  pollIntervalMs = defaultPollMs,
): Watchers {
  const nodeId = randomUUID();
  const listeners = new Set<(event: ChangeEvent) => void>();
  let poll: NodeJS.Timeout | undefined;
  let lastArrival: number | null | undefined;
  let isChecking = false;

  function notify(changeEvents: readonly ChangeEvent[]): void {
    for (const event of changeEvents) for (const listener of [...listeners]) callListener(listener, event);
  }

  /** The number of the newest entry, which every change of a request has; null where there is none. */
  async function checkForChanges(): Promise<void> {
    if (isChecking) return;
    isChecking = true;
    const [row] = await pool
      .run<{ newest: number | null }>(`SELECT max(arrival) AS newest FROM ${schema}.log_entry`)
      .catch(() => [undefined]);
    isChecking = false;
    if (row === undefined || row.newest !== lastArrival) notify([undefined]);
    lastArrival = row?.newest;
  }

  return {
    encodeNotifications: (changeEvents) => {
      const all = changeEvents.map((event) => event ?? null);
      const payloads: string[] = [];
      for (let from = 0; from < all.length; ) {
        let count = all.length - from;
        let payload = encode(all.slice(from, from + count));
        while (payload.length > maxPayloadLength && count > 1) {
          count = Math.ceil(count / 2);
          payload = encode(all.slice(from, from + count));
        }
        // One request with so many candidates that even it alone is too long: everybody looks for themselves.
        payloads.push(payload.length > maxPayloadLength ? encode([null]) : payload);
        from += count;
      }
      return payloads;
      function encode(some: Payload["changeEvents"]): string {
        return JSON.stringify({ from: nodeId, changeEvents: some } satisfies Payload);
      }
    },
    notify,
    watch: (listener) => {
      // A function of its own for each call, so that watching twice with one listener is two subscriptions.
      const wrapped = (event: ChangeEvent) => listener(event);
      listeners.add(wrapped);
      return () => void listeners.delete(wrapped);
    },
    open: async () => {
      const onPayload = (text: string) => {
        const { from, changeEvents } = JSON.parse(text) as Payload;
        if (from !== nodeId)
          notify(changeEvents.map((event) => (event ? { ...event, remote: true } : undefined)));
      };
      await pool.listen(channel, onPayload, () => notify([undefined]));
      poll = setInterval(() => listeners.size > 0 && void checkForChanges(), pollIntervalMs).unref();
    },
    close: () => {
      listeners.clear();
      clearInterval(poll);
    },
  };
}

/** A listener that throws is a fault of its own: it neither keeps the others from hearing nor unmakes the change. */
function callListener(listener: (event: ChangeEvent) => void, event: ChangeEvent): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
