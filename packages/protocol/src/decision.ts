import { hashJson } from "./action.ts";

/** What an approver's passkey signs at the level `passkey-signed`. Only a yes needs a signature. */
export type SignedDecision = {
  /** The request's id. */
  request: string;
  /** The action digest that was shown. */
  digest: string;
  /** `hashJson` of the card as shown. */
  card: string;
  verdict: "approve";
  /** The approver's id. */
  approver: string;
  /** Made by the server for this one ceremony. */
  nonce: string;
};

/**
 * The WebAuthn challenge of a decision: SHA-256 over its canonical form, base64url, as `clientDataJSON` carries it
 * (WebAuthn §5.8.1). Whoever holds the six values can tell later what was signed.
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
