import timers from "node:timers/promises";

/** What the agent knows of time. */
export type Clock = {
  /** Milliseconds since the epoch: for instants that are saved. */
  now(): number;
  /** Milliseconds since any fixed moment, never set back: for measuring how long something took. */
  elapsed(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason as soon as that is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
};

export const machineClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  async sleep(milliseconds, signal) {
    try {
      await timers.setTimeout(milliseconds, undefined, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
};
