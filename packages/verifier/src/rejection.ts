/**
 * Why a call is not run, as a value ready to be answered: status, headers (`WWW-Authenticate` as RFC 6750 §3 wants it)
 * and a JSON body. The closed union of reasons is for the API's own log; the wire keeps to the codes of RFC 6750.
 */

const table = {
  /** There is no bearer token. */
  no_token: [401, undefined, "This call needs a token that a person has approved it with"],
  /** Malformed, forged, from another issuer, for another API, revoked, or unknown to the server. */
  invalid_token: [401, "invalid_token", "The token is not valid here"],
  expired_token: [401, "invalid_token", "The token has expired"],
  /** Reserved, completed, failed or left unknown by an earlier call. */
  already_spent: [401, "invalid_token", "The token has been used"],
  /** The call is not what was approved. */
  digest_mismatch: [403, "insufficient_scope", "The call is not the action that was approved"],
  /** Approved under another definition of the action type than this API was written for. */
  type_changed: [403, "insufficient_scope", "The action was approved under another definition of its type"],
  /** The API did not say what action the call is: without that, nothing runs. */
  no_action: [403, "insufficient_scope", "This API did not state which action the call is"],
  /** The server or its keys could not be reached, so nobody knows; the token may have been reserved. */
  unavailable: [503, undefined, "The authorization server cannot be asked at the moment"],
} as const satisfies Record<
  string,
  readonly [401 | 403 | 503, "invalid_token" | "insufficient_scope" | undefined, string]
>;

export type RejectionReason = keyof typeof table;

export type Rejection = {
  readonly outcome: "rejected";
  readonly reason: RejectionReason;
  readonly status: 401 | 403 | 503;
  /** `www-authenticate` with 401 and 403, `retry-after` with 503. */
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
};

/** `realm` is the API's audience: a Bearer challenge needs at least one parameter. */
export function createReject(realm: string) {
  return (reason: RejectionReason, detail: RejectionDetail = {}): Rejection => {
    const [status, error, standard] = table[reason];
    const { differs, retryAfterSeconds = 1 } = detail;
    const description = describable(detail.description ?? standard);
    const named = error ? `, error="${error}", error_description="${description}"` : "";
    const challenge = { "www-authenticate": `Bearer realm="${describable(realm)}"${named}` };
    return {
      outcome: "rejected",
      reason,
      status,
      headers: {
        "cache-control": "no-store",
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

/** The alphabet of `error_description` (RFC 6750 §3): neither quotation mark nor backslash, printable ASCII. */
function describable(text: string): string {
  return text.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "?");
}
