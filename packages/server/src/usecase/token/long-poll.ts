/**
 * Long polling (`Prefer: wait`, RFC 7240 §4.3): polls that wait for a decision, one per request. A decision of this
 * process releases a poll within milliseconds, one of another process as soon as its change event arrives. All polls
 * share one store watch and one timer, which end with the last poll. A released poll reads the request again; nothing
 * is decided here.
 */
import type { ChangeEvent, Store } from "../../store/store.ts";

export type PollWaiters = {
  readonly isWaiting: (requestId: string) => boolean;
  /** Resolves when the request is not pending any more, at `until`, or when `signal` aborts. */
  readonly wait: (requestId: string, until: number, signal: AbortSignal) => Promise<void>;
  /** Releases all polls; later ones resolve at once. */
  readonly close: () => void;
};

/** Interval of the timer that releases polls at `until`. */
const expiryIntervalMs = 50;
/** Maximum requests per query. */
const maxBatchSize = 1_000;

type Poll = { readonly until: number; readonly releasePoll: () => void };

export function createPollWaiters(store: Pick<Store, "now" | "findNotPending" | "watch">): PollWaiters {
  const polls = new Map<string, Poll>();
  /** Polls added since the last turn of the event loop. */
  let justAdded: string[] = [];
  let stop: (() => void) | undefined;
  let closed = false;
  let checking = false;
  let recheck = false;

  function start(): () => void {
    const unwatch = store.watch((event) => void onChange(event));
    const timer = setInterval(releaseExpired, expiryIntervalMs);
    return () => {
      unwatch();
      clearInterval(timer);
    };
  }

  function releaseExpired(): void {
    const now = store.now();
    for (const { until, releasePoll } of polls.values()) if (now >= until) releasePoll();
  }

  async function onChange(event: ChangeEvent): Promise<void> {
    if (event) {
      if (event.state !== "pending") polls.get(event.requestId)?.releasePoll();
      return;
    }
    await recheckAll();
  }

  /** Checks all waiting polls in batches. Events that arrive meanwhile cause one more pass. */
  async function recheckAll(): Promise<void> {
    recheck = true;
    if (checking) return;
    checking = true;
    while (recheck) {
      recheck = false;
      const ids = [...polls.keys()];
      for (let from = 0; from < ids.length; from += maxBatchSize)
        await releaseDecided(ids.slice(from, from + maxBatchSize));
    }
    checking = false;
  }

  /**
   * Rechecks new polls once: a write between the read of the caller and its registration raised no event for them.
   */
  function recheckNew(): void {
    void releaseDecided(justAdded);
    justAdded = [];
  }

  async function releaseDecided(ids: readonly string[]): Promise<void> {
    let decided = ids;
    try {
      decided = await store.findNotPending(ids);
    } catch {
      // On an error, release the polls: their own read reports it.
    }
    for (const id of decided) polls.get(id)?.releasePoll();
  }

  return {
    isWaiting: (id) => polls.has(id),
    wait: (id, until, signal) => {
      if (closed || signal.aborted || polls.has(id)) return Promise.resolve();
      return new Promise((resolve) => {
        const releasePoll = () => {
          if (!polls.delete(id)) return;
          signal.removeEventListener("abort", releasePoll);
          if (polls.size === 0) stop?.();
          resolve();
        };
        if (polls.size === 0) stop = start();
        polls.set(id, { until, releasePoll });
        signal.addEventListener("abort", releasePoll, { once: true });
        if (justAdded.push(id) === 1) setImmediate(recheckNew);
      });
    },
    close: () => {
      closed = true;
      for (const { releasePoll } of polls.values()) releasePoll();
    },
  };
}
