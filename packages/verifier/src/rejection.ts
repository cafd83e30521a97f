/**
 * Why a call is not run, as a value ready to be answered: status, headers (`WWW-Authenticate` as RFC 6750 §3 wants it)
 * and a JSON body. RFC 9449 §7.1 does the same for tokens that are bound to a key. The closed union of reasons is for the API's own log; the wire keeps to the codes of these two.
 */
import { proofAlgorithms, toErrorDescription } from "@countersign/protocol";

const table = {
  /** There is no token. */
  no_token: [401, undefined, "This call needs a token that a person has approved it with"],
  /** Malformed, forged, from another issuer, for another API, revoked, or unknown to the server. */
  invalid_token: [401, "invalid_token", "The token is not valid here"],
  expired_token: [401, "invalid_token", "The token has expired"],
  /** Reserved, completed, failed or left unknown by an earlier call. */
  already_spent: [401, "invalid_token", "The token has been used"],
  /** A bound token as Bearer, or an unbound one as DPoP. */
  wrong_scheme: [401, "invalid_token", "The token is presented under the wrong scheme"],
  /** The token is bound to a key, and this call does not prove it. */
  invalid_proof: [401, "invalid_dpop_proof", "The DPoP proof is missing or not good for this call"],
  /** The proof is good but for a nonce, which comes with this answer. */
  nonce_required: [401, "use_dpop_nonce", "Make the DPoP proof again, with the nonce in DPoP-Nonce"],
  /** The token is bound to a certificate, and the connection was not opened with it. */
  wrong_certificate: [401, "invalid_token", "The token is bound to another client certificate"],
  /** The call is not what was approved. */
  digest_mismatch: [403, "insufficient_scope", "The call is not the action that was approved"],
  /** Approved under another definition of the action type than this API was written for. */
  type_changed: [403, "insufficient_scope", "The action was approved under another definition of its type"],
  /** The API did not say what action the call is: without that, nothing runs. */
  no_action: [403, "insufficient_scope", "This API did not state which action the call is"],
  /** The server or its keys could not be reached, so nobody knows; the token may have been reserved. */
  unavailable: [503, undefined, "The authorization server cannot be asked at the moment"],
} as const satisfies Record<string, readonly [401 | 403 | 503, ErrorCode | undefined, string]>;

type ErrorCode = "invalid_token" | "insufficient_scope" | "invalid_dpop_proof" | "use_dpop_nonce";
export type RejectionReason = keyof typeof table;

export type Rejection = {
  readonly outcome: "rejected";
  readonly reason: RejectionReason;
  readonly status: 401 | 403 | 503;
  /** `www-authenticate` with 401 and 403, `retry-after` with 503, `dpop-nonce` where one is needed. */
  readonly headers: { readonly [name: string]: string };
  readonly body: { readonly error: string; readonly error_description: string };
  /**
   * With `digest_mismatch`: the fields in which the call differs from what was approved, as far as they have
   * names.
   */
  readonly differs?: readonly string[];
};

export type RejectionDetail = {
  readonly description?: string;
  readonly differs?: readonly string[];
  readonly retryAfterSeconds?: number;
  /** How the token was presented, or should have been. */
  readonly scheme?: "Bearer" | "DPoP";
  readonly nonce?: string;
};

/** `realm` is the API's audience: a Bearer challenge needs at least one parameter. */
export function createReject(realm: string) {
  return (reason: RejectionReason, detail: RejectionDetail = {}): Rejection => {
    const [status, error, standard] = table[reason];
    const { differs, retryAfterSeconds = 1, scheme = "Bearer", nonce } = detail;
    const description = toErrorDescription(detail.description ?? standard);
    const named = error ? `, error="${error}", error_description="${description}"` : "";
    const challenges = {
      Bearer: `Bearer realm="${toErrorDescription(realm)}"${named}`,
      DPoP: `DPoP realm="${toErrorDescription(realm)}", algs="${proofAlgorithms.join(" ")}"${named}`,
    };
    // Whoever has no token yet may bring either kind (RFC 9449 §7.2).
    const challenge = {
      "www-authenticate":
        reason === "no_token" ? `${challenges.Bearer}, ${challenges.DPoP}` : challenges[scheme],
    };
    return {
      outcome: "rejected",
      reason,
      status,
      headers: {
        "cache-control": "no-store",
        ...(nonce !== undefined && { "dpop-nonce": nonce }),
        ...(status === 503 ? { "retry-after": String(retryAfterSeconds) } : challenge),
      },
      body: {
        error: error ?? (status === 503 ? "temporarily_unavailable" : "invalid_token"),
        error_description: description,
      },
      ...(differs && { differs }),
    };
  };
}
export type Reject = ReturnType<typeof createReject>;
