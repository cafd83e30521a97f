import { hashJson } from "./action.ts";

/** The decision that an approver's passkey signs at level `passkey-signed`. Denials are not signed. */
export type SignedDecision = {
  /** The request's id. */
  request: string;
  /** The action digest of the card. */
  digest: string;
  /** `hashJson` of the card. */
  card: string;
  verdict: "approve";
  /** The approver's id. */
  approver: string;
  /** A random value of the server, for one ceremony. */
  nonce: string;
};

/**
 * Computes the WebAuthn challenge of a decision: SHA-256 of its canonical form, in base64url as in `clientDataJSON`
 * (WebAuthn §5.8.1). With the six values an auditor can verify later what was signed.
 *
 * @param decision - The decision. Other members are ignored.
 * @returns 43 characters of base64url.
 * @throws {TypeError} A value contains a lone surrogate.
 * @example
 * decisionChallenge({ request, digest, card, verdict: "approve", approver, nonce });
 */
export function decisionChallenge(decision: SignedDecision): string {
  return hashJson({
    v: "countersign-decision-v1",
    request: decision.request,
    digest: decision.digest,
    card: decision.card,
    verdict: decision.verdict,
    approver: decision.approver,
    nonce: decision.nonce,
  });
}
