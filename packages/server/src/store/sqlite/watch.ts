/**
 * Tells those who wait that something was written: at once for what this handle wrote, and within a quarter of a
 * second for what another process wrote, of which only the fact is known. It never says what became of a request.
 */
import type { Store, Wake } from "../store.ts";
import type { Connection } from "./connection.ts";

const pollMs = 250;

export type Watchers = {
  readonly watch: Store["watch"];
  tell(wakes: readonly Wake[]): void;
  close(): void;
};

export function openWatchers(connection: Connection): Watchers {
  // Changes when another connection has committed, and only then.
  const dataVersion = connection.prepare<{ data_version: number }>("PRAGMA data_version");
  const listeners = new Set<(wake: Wake) => void>();
  let poll: NodeJS.Timeout | undefined;
  let seen: number | undefined;

  function tell(wakes: readonly Wake[]): void {
    for (const wake of wakes) for (const listener of [...listeners]) call(listener, wake);
  }

  /** Undefined if it cannot be read: then those who wait look for themselves, and meet the fault with someone to tell. */
  function versionNow(): number | undefined {
    try {
      return dataVersion.get()?.data_version;
    } catch {
      return undefined;
    }
  }

  function look(): void {
    const version = versionNow();
    if (version === undefined || version !== seen) tell([undefined]);
    seen = version;
  }

  function start(): void {
    seen = versionNow();
    if (connection.shared) poll = setInterval(look, pollMs).unref();
  }

  function stop(): void {
    clearInterval(poll);
    poll = undefined;
  }

  return {
    watch: (listener) => {
      // A function of its own for each call, so that watching twice with one listener is two subscriptions.
      const own = (wake: Wake) => listener(wake);
      if (listeners.size === 0) start();
      listeners.add(own);
      return () => {
        if (listeners.delete(own) && listeners.size === 0) stop();
      };
    },
    tell,
    close: () => {
      listeners.clear();
      stop();
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
