/** What the agent knows of time. */
export type Clock = {
  /** Milliseconds since the epoch: for instants that are saved. */
  now(): number;
  /** Milliseconds since any fixed moment, never set back: for measuring how long something took. */
  elapsed(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason as soon as that is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
};

/** Timers fire at once when they are told to wait for longer. */
const maxTimerMs = 2 ** 31 - 1;

export const machineClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const timer = setTimeout(end, Math.min(milliseconds, maxTimerMs));
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
    }),
};
