/**
 * Tells those who wait that something was written: at once for what this handle wrote, and within a quarter of a
 * second for what another process wrote, of which only the fact is known. It never says what became of a request.
 */
import type { ChangeEvent, Store } from "../store.ts";
import type { Connection } from "./connection.ts";

const pollMs = 250;

export type Watchers = {
  readonly watch: Store["watch"];
  notify(changeEvents: readonly ChangeEvent[]): void;
  close(): void;
};

export function openWatchers(connection: Connection): Watchers {
  // Changes when another connection has committed, and only then.
  const dataVersion = connection.prepare<{ data_version: number }>("PRAGMA data_version");
  const listeners = new Set<(event: ChangeEvent) => void>();
  let poll: NodeJS.Timeout | undefined;
  let lastVersion: number | undefined;

  function notify(changeEvents: readonly ChangeEvent[]): void {
    for (const event of changeEvents) for (const listener of [...listeners]) callListener(listener, event);
  }

  /** Undefined if it cannot be read: then those who wait look for themselves, and meet the fault with someone to tell. */
  function readDataVersion(): number | undefined {
    try {
      return dataVersion.get()?.data_version;
    } catch {
      return undefined;
    }
  }

  function checkForChanges(): void {
    const version = readDataVersion();
    if (version === undefined || version !== lastVersion) notify([undefined]);
    lastVersion = version;
  }

  function start(): void {
    lastVersion = readDataVersion();
    if (connection.shared) poll = setInterval(checkForChanges, pollMs).unref();
  }

  function stop(): void {
    clearInterval(poll);
    poll = undefined;
  }

  return {
    watch: (listener) => {
      // A function of its own for each call, so that watching twice with one listener is two subscriptions.
      const wrapped = (event: ChangeEvent) => listener(event);
      if (listeners.size === 0) start();
      listeners.add(wrapped);
      return () => {
        if (listeners.delete(wrapped) && listeners.size === 0) stop();
      };
    },
    notify,
    close: () => {
      listeners.clear();
      stop();
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
