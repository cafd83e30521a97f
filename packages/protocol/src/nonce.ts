/**
 * Stateless nonces for DPoP proofs (RFC 9449 §8, §9): a nonce is a MAC of the period in which it is issued, so every process
 * with the same key accepts those of the others, also after a restart.
 */

/** How long a nonce is issued. It is accepted for the same time again. */
const issuedWindowMs = 5 * 60_000;

export type DpopNonces = {
  /** Returns the nonce to issue at `now`, in milliseconds since the epoch. */
  readonly current: (now: number) => string;
  /** Returns the state of a received nonce. `aging`: valid, but the next one is issued already. */
  readonly stateOf: (nonce: string | undefined, now: number) => "fresh" | "aging" | "unknown";
};

/**
 * Creates the nonces of a server or API.
 *
 * @param mac - Computes a keyed MAC of a text, as printable ASCII for a header.
 * @returns Functions that return the current nonce and the state of a received one.
 * @example
 * const nonces = createDpopNonces((text) => createHmac("sha256", key).update(text).digest("base64url"));
 */
export function createDpopNonces(mac: (period: string) => string): DpopNonces {
  const of = (period: number) => mac(String(period));
  return {
    current: (now) => of(Math.floor(now / issuedWindowMs)),
    stateOf: (nonce, now) => {
      if (nonce === undefined) return "unknown";
      const period = Math.floor(now / issuedWindowMs);
      // A machine whose clock is ahead may have issued the next nonce.
      if (nonce === of(period) || nonce === of(period + 1)) return "fresh";
      return nonce === of(period - 1) ? "aging" : "unknown";
    },
  };
}
