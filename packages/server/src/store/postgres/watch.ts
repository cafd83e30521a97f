/**
 * Notifies watchers of changes: immediately for writes of this node, and by notification within milliseconds for
 * writes of other nodes. A notification can be lost with its connection, so watchers also get an unspecific event
 * when listening restarts, and every 5 s if something was logged meanwhile.
 */
import { randomUUID } from "node:crypto";
import type { ChangeEvent, Store } from "../store.ts";
import type { Pool } from "./pool.ts";

const defaultPollMs = 5_000;
/** PostgreSQL limits a payload to fewer than 8000 bytes. */
const maxPayloadLength = 7_000;

export type Watchers = {
  readonly watch: Store["watch"];
  /** Encodes events as notification payloads for other nodes. */
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

  /** Notifies watchers if the newest log entry has changed: every change of a request adds one. */
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
        // A single event that is too long (many candidates) becomes an unspecific event.
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
      // A wrapper per call, so that watching twice with one listener makes two subscriptions.
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

/** Rethrows an error of a listener asynchronously: it affects neither other listeners nor the committed change. */
function callListener(listener: (event: ChangeEvent) => void, event: ChangeEvent): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
