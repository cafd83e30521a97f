/**
 * Nonces for DPoP proofs that nobody has to remember (RFC 9449 §8, §9): each is a MAC over the minutes in which it is
 * given out, so that every process with the same key takes those of the others, also after a restart.
 */

/** For how long one nonce is given out. It is taken for as long again. */
const issuedWindowMs = 5 * 60_000;

export type DpopNonces = {
  readonly current: (now: number) => string;
  /** `aging`: still good, but the next one is being given out. */
  readonly stateOf: (nonce: string | undefined, now: number) => "fresh" | "aging" | "unknown";
};

/** `mac` is keyed, and answers text that fits into a header. */
export function createDpopNonces(mac: (period: string) => string): DpopNonces {
  const of = (period: number) => mac(String(period));
  return {
    current: (now) => of(Math.floor(now / issuedWindowMs)),
    stateOf: (nonce, now) => {
      if (nonce === undefined) return "unknown";
      const period = Math.floor(now / issuedWindowMs);
      // The next one may come from a machine whose clock is ahead.
      if (nonce === of(period) || nonce === of(period + 1)) return "fresh";
      return nonce === of(period - 1) ? "aging" : "unknown";
    },
  };
}
