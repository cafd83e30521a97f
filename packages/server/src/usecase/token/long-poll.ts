/**
 * Polls that are answered when there is an answer, and not at once (`Prefer: wait`, RFC 7240 §4.3). One for each request,
 * whoever asked for it; what is decided here lets it go within milliseconds, what another process wrote as soon as this
 * one hears that something was. However many are held, they share one watch of the store and one timer, and both end
 * with the last of them. It decides nothing: who is let go looks for themselves.
 */
import type { ChangeEvent, Store } from "../../store/store.ts";

export type PollWaiters = {
  readonly isHeld: (requestId: string) => boolean;
  /** Resolves when the request does not wait for an answer any more, at `until`, or when the caller hangs up. */
  readonly hold: (requestId: string, until: number, signal: AbortSignal) => Promise<void>;
  /** Lets all go, and from now on holds none. */
  readonly release: () => void;
};

/** How late the clock may be noticed. */
const recheckMs = 50;
/** So many are asked about in one question. */
const most = 1_000;

type Poll = { readonly until: number; readonly releasePoll: () => void };

export function createPollWaiters(store: Pick<Store, "now" | "findNotPending" | "watch">): PollWaiters {
  const polls = new Map<string, Poll>();
  /** Held since the last turn of the event loop. */
  let fresh: string[] = [];
  let stop: (() => void) | undefined;
  let closed = false;
  let looking = false;
  let again = false;

  function start(): () => void {
    const unwatch = store.watch((wake) => void hear(wake));
    const timer = setInterval(look, recheckMs);
    return () => {
      unwatch();
      clearInterval(timer);
    };
  }

  function look(): void {
    const now = store.now();
    for (const { until, releasePoll } of polls.values()) if (now >= until) releasePoll();
  }

  async function hear(wake: ChangeEvent): Promise<void> {
    if (wake) {
      if (wake.state !== "pending") polls.get(wake.requestId)?.releasePoll();
      return;
    }
    await lookAgain();
  }

  /** A few questions for all that are held, however often somebody says meanwhile that something changed. */
  async function lookAgain(): Promise<void> {
    again = true;
    if (looking) return;
    looking = true;
    while (again) {
      again = false;
      const held = [...polls.keys()];
      for (let from = 0; from < held.length; from += most) await letGoOf(held.slice(from, from + most));
    }
    looking = false;
  }

  /** What was written after the caller looked, and before it was held, woke nobody. */
  function recheckNew(): void {
    void letGoOf(fresh);
    fresh = [];
  }

  async function letGoOf(ids: readonly string[]): Promise<void> {
    let over = ids;
    try {
      over = await store.findNotPending(ids);
    } catch {
      // A fault is met by the polls themselves, which look next and have somebody to tell.
    }
    for (const id of over) polls.get(id)?.releasePoll();
  }

  return {
    isHeld: (id) => polls.has(id),
    hold: (id, until, signal) => {
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
        if (fresh.push(id) === 1) setImmediate(recheckNew);
      });
    },
    release: () => {
      closed = true;
      for (const { releasePoll } of polls.values()) releasePoll();
    },
  };
}
