/** Encodes a token and a denial for token responses and pushes. */
import { isErrorDescription } from "@countersign/protocol";
import type { IssuedToken } from "../../usecase/token/issue.ts";

/** RFC 6749 §5.1, CIBA §10.1.1, RFC 9396 §7. */
export function toTokenResponse(token: IssuedToken) {
  return {
    access_token: token.accessToken,
    token_type: token.tokenType,
    expires_in: token.expiresInSeconds,
    id_token: token.idToken,
    scope: token.scope,
    ...(token.details && { authorization_details: token.details }),
  };
}

/** Returns the approver's reason as a separate member, and as `error_description` if its characters are allowed there. */
export function describeDenial(
  description: string,
  reason: string | undefined,
): { readonly description: string; readonly members: { readonly denial_reason?: string } } {
  if (reason === undefined) return { description, members: {} };
  return {
    description: isErrorDescription(reason) ? reason : description,
    members: { denial_reason: reason },
  };
}
