/**
 * Tells those who wait that something was written: at once for what this node wrote; by notification, within
 * milliseconds, for what another node wrote. A notification can be lost with its connection: when listening begins
 * again, and every few seconds if anything was logged meanwhile, those who wait are told to look for themselves.
 */
import { randomUUID } from "node:crypto";
import type { Store, Wake } from "../store.ts";
import type { Pool } from "./connection.ts";

const pollMs = 5_000;
/** PostgreSQL takes fewer than 8,000 bytes. */
const longestPayload = 7_000;

export type Watchers = {
  readonly watch: Store["watch"];
  /** The notifications that carry these wakes to other nodes. */
  readonly announce: (wakes: readonly Wake[]) => readonly string[];
  readonly tell: (wakes: readonly Wake[]) => void;
  readonly open: () => Promise<void>;
  readonly close: () => void;
};

type Payload = { readonly from: string; readonly wakes: readonly (NonNullable<Wake> | null)[] };

export function openWatchers(pool: Pool, schema: string, channel: string, lookEveryMs = pollMs): Watchers {
  const self = randomUUID();
  const listeners = new Set<(wake: Wake) => void>();
  let poll: NodeJS.Timeout | undefined;
  let seen: number | null | undefined;
  let looking = false;

  function tell(wakes: readonly Wake[]): void {
    for (const wake of wakes) for (const listener of [...listeners]) call(listener, wake);
  }

  /** The number of the newest entry, which every change of a request has; null where there is none. */
  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    const [row] = await pool
      .run<{ newest: number | null }>(`SELECT max(arrival) AS newest FROM ${schema}.log_entry`)
      .catch(() => [undefined]);
    looking = false;
    if (row === undefined || row.newest !== seen) tell([undefined]);
    seen = row?.newest;
  }

  return {
    announce: (wakes) => {
      const all = wakes.map((wake) => wake ?? null);
      const payloads: string[] = [];
      for (let from = 0; from < all.length; ) {
        let count = all.length - from;
        let payload = encode(all.slice(from, from + count));
        while (payload.length > longestPayload && count > 1) {
          count = Math.ceil(count / 2);
          payload = encode(all.slice(from, from + count));
        }
        // One request with so many candidates that even it alone is too long: everybody looks for themselves.
        payloads.push(payload.length > longestPayload ? encode([null]) : payload);
        from += count;
      }
      return payloads;
      function encode(some: Payload["wakes"]): string {
        return JSON.stringify({ from: self, wakes: some } satisfies Payload);
      }
    },
    tell,
    watch: (listener) => {
      // A function of its own for each call, so that watching twice with one listener is two subscriptions.
      const own = (wake: Wake) => listener(wake);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    open: async () => {
      const heard = (text: string) => {
        const { from, wakes } = JSON.parse(text) as Payload;
        if (from !== self) tell(wakes.map((wake) => (wake ? { ...wake, elsewhere: true } : undefined)));
      };
      await pool.listen(channel, heard, () => tell([undefined]));
      poll = setInterval(() => listeners.size > 0 && void look(), lookEveryMs).unref();
    },
    close: () => {
      listeners.clear();
      clearInterval(poll);
    },
  };
}

/** A listener that throws is a fault of its own: it neither keeps the others from hearing nor unmakes the change. */
function call(listener: (wake: Wake) => void, wake: Wake): void {
  try {
    listener(wake);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
