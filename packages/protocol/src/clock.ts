/** Accepted clock skew between two machines, in seconds, when `iat`, `nbf` and `exp` are checked. */
export const clockToleranceSeconds = 30;

/** The source of time of an SDK. Replace it in tests, or with a workflow engine's clock. */
export type Clock = {
  /** Returns milliseconds since the epoch. */
  now(): number;
  /** Returns milliseconds since an arbitrary fixed moment. It never decreases, so it measures durations. */
  elapsed(): number;
  /** Resolves after the given time. Rejects with the signal's reason as soon as the signal is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
};

/** Longest delay of a timer; a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** The clock of this machine. `sleep` is limited to about 24 days. */
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
