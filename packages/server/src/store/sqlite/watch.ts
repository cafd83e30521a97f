/**
 * Notifies watchers of changes: immediately for writes of this handle, and within 250 ms for writes of other
 * processes, without details.
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
  // Changes only when another connection has committed.
  const dataVersion = connection.prepare<{ data_version: number }>("PRAGMA data_version");
  const listeners = new Set<(event: ChangeEvent) => void>();
  let poll: NodeJS.Timeout | undefined;
  let lastVersion: number | undefined;

  function notify(changeEvents: readonly ChangeEvent[]): void {
    for (const event of changeEvents) for (const listener of [...listeners]) callListener(listener, event);
  }

  /** Returns undefined if it cannot be read. Watchers are notified then, and their own read reports the error. */
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
      // A wrapper per call, so that watching twice with one listener makes two subscriptions.
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
