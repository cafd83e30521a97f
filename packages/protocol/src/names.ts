/** Names on the wire. Each list is complete; its type is the union of its members. */

/** The grant type of the token request (CIBA §10.1). */
export const cibaGrantType = "urn:openid:params:grant-type:ciba";

/** Values of `error` of the backchannel authentication endpoint (CIBA §13, RFC 9396 §5, RFC 8707 §2). */
export const askErrors = [
  "invalid_request",
  "invalid_scope",
  "expired_login_hint_token",
  "unknown_user_id",
  "unauthorized_client",
  "missing_user_code",
  "invalid_user_code",
  "invalid_binding_message",
  "invalid_authorization_details",
  "invalid_target",
  "invalid_client",
  "access_denied",
  "temporarily_unavailable",
] as const;
export type AskError = (typeof askErrors)[number];

/** Values of `error` of the token endpoint (CIBA §11, RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5 and §8). */
export const tokenErrors = [
  "authorization_pending",
  "slow_down",
  "access_denied",
  "expired_token",
  "invalid_grant",
  "invalid_request",
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_target",
  "invalid_dpop_proof",
  "use_dpop_nonce",
  "temporarily_unavailable",
] as const;
export type TokenError = (typeof tokenErrors)[number];

/** Values of `error` of the spend endpoint. Only the first four concern the token. */
export const spendErrors = [
  "invalid_token",
  "expired_token",
  "already_spent",
  "digest_mismatch",
  "invalid_request",
  "invalid_client",
  "temporarily_unavailable",
] as const;
export type SpendError = (typeof spendErrors)[number];

/** Values of `error` of the registration endpoints (RFC 7591 §3.2.2, RFC 6750 §3.1). */
export const registrationErrors = [
  "invalid_client_metadata",
  "invalid_redirect_uri",
  "unapproved_software_statement",
  "invalid_token",
  "invalid_request",
  "access_denied",
  "temporarily_unavailable",
] as const;
export type RegistrationError = (typeof registrationErrors)[number];

/** Operations of the spend endpoint: reserve before the action runs, complete or fail afterwards. */
export const spendOperations = ["reserve", "complete", "fail"] as const;
export type SpendOperation = (typeof spendOperations)[number];

/** States of a token: issued, then reserved by one spend, then its result. No state returns to issued. */
export const tokenStates = [
  "issued",
  "reserved",
  "completed",
  "failed",
  "unknown",
  "expired",
  "revoked",
] as const;
export type TokenState = (typeof tokenStates)[number];

/** States of a request: pending, then another one. Only approved has a next state: redeemed or lapsed. */
export const requestStates = [
  "pending",
  "approved",
  "denied",
  "expired",
  "cancelled",
  "lapsed",
  "redeemed",
] as const;
export type RequestState = (typeof requestStates)[number];

/** Whether an action can be reversed: by the operator, only by a third party (external), or not at all. */
export const reversibilities = ["reversible", "external", "irreversible"] as const;
export type Reversibility = (typeof reversibilities)[number];

/** Authentication of an approver for a decision, weakest first: session, passkey, passkey that signs the decision. */
export const authenticationLevels = ["session", "passkey", "passkey-signed"] as const;
export type AuthenticationLevel = (typeof authenticationLevels)[number];
