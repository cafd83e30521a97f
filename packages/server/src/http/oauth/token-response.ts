/** The token, and a denial, as the wire spells them: in the answer to a token request, and in a push. */
import type { IssuedToken } from "../../usecase/token/issue.ts";

/** RFC 6749 §5.1, CIBA §10.1.1, RFC 9396 §7. */
export function toTokenResponse(grant: IssuedToken) {
  return {
    access_token: grant.accessToken,
    token_type: grant.tokenType,
    expires_in: grant.expiresInSeconds,
    id_token: grant.idToken,
    scope: grant.scope,
    ...(grant.details && { authorization_details: grant.details }),
  };
}

/** What fits into `error_description` (RFC 6749 §5.2). */
const describable = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;

/** The approver's reason, in a member of its own, and as the description where it fits that alphabet. */
export function toDenial(
  description: string,
  reason: string | undefined,
): { readonly description: string; readonly members: { readonly denial_reason?: string } } {
  if (reason === undefined) return { description, members: {} };
  return { description: describable.test(reason) ? reason : description, members: { denial_reason: reason } };
}
