/**
 * Polls that are answered when there is an answer, and not at once (`Prefer: wait`, RFC 7240 §4.3). One for each request,
 * whoever asked for it; what is decided here lets it go within milliseconds, what another process wrote as soon as this
 * one hears that something was. However many are held, they share one watch of the store and one timer, and both end
 * with the last of them. It decides nothing: who is let go looks for themselves.
 */
import type { Store, Wake } from "../store/store.ts";

export type Holds = {
  readonly isHeld: (approvalId: string) => boolean;
  /** Resolves when the request does not wait for an answer any more, at `until`, or when the caller hangs up. */
  readonly hold: (approvalId: string, until: number, signal: AbortSignal) => Promise<void>;
  /** Lets all go, and from now on holds none. */
  readonly release: () => void;
};

/** How late the clock may be noticed. */
const lookMs = 50;
/** So many are asked about in one question. */
const most = 1_000;

type Poll = { readonly until: number; readonly letGo: () => void };

export function createHolds(store: Pick<Store, "now" | "notPending" | "watch">): Holds {
  const polls = new Map<string, Poll>();
  /** Held since the last turn of the event loop. */
  let fresh: string[] = [];
  let stop: (() => void) | undefined;
  let closed = false;
  let looking = false;
  let again = false;

  function start(): () => void {
    const unwatch = store.watch((wake) => void hear(wake));
    const timer = setInterval(look, lookMs);
    return () => {
      unwatch();
      clearInterval(timer);
    };
  }

  function look(): void {
    const now = store.now();
    for (const { until, letGo } of polls.values()) if (now >= until) letGo();
  }

  async function hear(wake: Wake): Promise<void> {
    if (wake) {
      if (wake.state !== "pending") polls.get(wake.approval)?.letGo();
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
  function lookAtFresh(): void {
    void letGoOf(fresh);
    fresh = [];
  }

  async function letGoOf(ids: readonly string[]): Promise<void> {
    let over = ids;
    try {
      over = await store.notPending(ids);
    } catch {
      // A fault is met by the polls themselves, which look next and have somebody to tell.
    }
    for (const id of over) polls.get(id)?.letGo();
  }

  return {
    isHeld: (id) => polls.has(id),
    hold: (id, until, signal) => {
      if (closed || signal.aborted || polls.has(id)) return Promise.resolve();
      return new Promise((resolve) => {
        const letGo = () => {
          if (!polls.delete(id)) return;
          signal.removeEventListener("abort", letGo);
          if (polls.size === 0) stop?.();
          resolve();
        };
        if (polls.size === 0) stop = start();
        polls.set(id, { until, letGo });
        signal.addEventListener("abort", letGo, { once: true });
        if (fresh.push(id) === 1) setImmediate(lookAtFresh);
      });
    },
    release: () => {
      closed = true;
      for (const { letGo } of polls.values()) letGo();
    },
  };
}
