/**
 * Rejections of calls, with the complete response: status, `WWW-Authenticate` (RFC 6750 §3; RFC 9449 §7.1 for bound tokens)
 * and a JSON body. The reasons are for the API's own log; the response uses the error codes of the two RFCs.
 */
import { proofAlgorithms, toErrorDescription } from "@countersign/protocol";

const table = {
  /** There is no token. */
  no_token: [401, undefined, "This call requires a token of an approved action"],
  /** Malformed, forged, from another issuer, for another API, revoked, or unknown to the server. */
  invalid_token: [401, "invalid_token", "The token is not valid for this API"],
  expired_token: [401, "invalid_token", "The token has expired"],
  /** Reserved, completed, failed or unknown by an earlier call. */
  already_spent: [401, "invalid_token", "The token has been used"],
  /** A bound token presented as Bearer, or an unbound one as DPoP. */
  wrong_scheme: [401, "invalid_token", "The token is presented under the wrong scheme"],
  /** The token is bound to a key, and the call has no valid proof. */
  invalid_proof: [401, "invalid_dpop_proof", "The DPoP proof is missing or not valid for this call"],
  /** The proof is valid except for the nonce, which the response contains. */
  nonce_required: [401, "use_dpop_nonce", "Repeat the call with the nonce of DPoP-Nonce in the DPoP proof"],
  /** The token is bound to a certificate, and the connection does not use it. */
  wrong_certificate: [401, "invalid_token", "The token is bound to another client certificate"],
  /** The call differs from the approved action. */
  digest_mismatch: [403, "insufficient_scope", "The call is not the action that was approved"],
  /** The action was approved under another definition of its type than the pinned one. */
  type_changed: [403, "insufficient_scope", "The action was approved under another definition of its type"],
  /** The API did not derive an action from the call. */
  no_action: [403, "insufficient_scope", "This API did not derive an action from the call"],
  /** The server or its keys cannot be reached. The token may have been reserved. */
  unavailable: [503, undefined, "The authorization server is temporarily unavailable"],
} as const satisfies Record<string, readonly [401 | 403 | 503, ErrorCode | undefined, string]>;

type ErrorCode = "invalid_token" | "insufficient_scope" | "invalid_dpop_proof" | "use_dpop_nonce";
/** Why a call was rejected. */
export type RejectionReason = keyof typeof table;

/** A rejected call, with the response to send. */
export type Rejection = {
  readonly outcome: "rejected";
  readonly reason: RejectionReason;
  readonly status: 401 | 403 | 503;
  /** `www-authenticate` with 401 and 403, `retry-after` with 503, `dpop-nonce` if one is required. */
  readonly headers: { readonly [name: string]: string };
  readonly body: { readonly error: string; readonly error_description: string };
  /** With `digest_mismatch`: the fields in which the call differs from the approved action, if known. */
  readonly differs?: readonly string[];
};

export type RejectionDetail = {
  readonly description?: string;
  readonly differs?: readonly string[];
  readonly retryAfterSeconds?: number;
  /** The scheme of the challenge. Default: Bearer. */
  readonly scheme?: "Bearer" | "DPoP";
  readonly nonce?: string;
};

/** Creates the constructor of rejections. `realm` is the API's audience. */
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
    // Without a token, both schemes are offered (RFC 9449 §7.2).
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
