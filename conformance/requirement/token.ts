/** Access tokens, their introspection and their revocation. */
import { specification } from "./requirement.ts";

export const rfc9068 = specification("rfc9068", "RFC 9068", "JWT Profile for OAuth 2.0 Access Tokens", {
  "2.1-1": ["MUST", "An access token is signed, with an algorithm other than none."],
  "2.1-2": ["MUST", "The typ of an access token is at+jwt."],
  "2.2-1": ["REQUIRED", "An access token has iss, exp, aud, sub, client_id, iat and jti."],
  "2.2.1-1": ["SHOULD", "auth_time, acr and amr describe the authentication of the user."],
  "2.2.3-1": ["SHOULD", "If scopes were granted, an access token has scope."],
  "2.2.3-2": ["SHOULD", "Every scope in an access token is defined for its audience."],
  "3-1": ["SHOULD", "A requested resource is the audience."],
  "3-2": ["MUST", "Without a resource, the audience is the default API of the action."],
  "4-1": ["MUST", "The keys are published at jwks_uri."],
  "4-2": ["MUST", "The API rejects a JWT whose typ is not at+jwt."],
  "4-3": ["MUST", "The API rejects a JWT of another issuer."],
  "4-4": ["MUST", "The API rejects a JWT for another audience."],
  "4-5": ["MUST", "The API rejects a JWT with an invalid signature, or without one."],
  "4-6": ["MUST", "The API rejects an expired JWT."],
  "5-1": ["MUST", "The sub of a token identifies a user, and is never the client id."],
});

export const rfc7662 = specification("rfc7662", "RFC 7662", "OAuth 2.0 Token Introspection", {
  "2.1-1": ["MUST", "Introspection is a POST of form parameters."],
  "2.1-2": ["REQUIRED", "The request contains the token."],
  "2.1-3": ["MUST", "The caller is authenticated."],
  "2.2-1": ["REQUIRED", "The response is JSON and states whether the token is active."],
  "2.2-2": ["SHOULD NOT", "The response for an inactive token contains other members."],
  "2.2-3": ["MUST", "An unknown token, or a token for another API, returns active false and no error."],
  "2.3-1": ["MUST", "Failed authentication returns 401."],
  "4-1": ["MUST", "An expired, revoked or spent token is not active."],
  "4-2": ["MUST", "The introspection endpoint uses TLS."],
});

export const rfc7009 = specification("rfc7009", "RFC 7009", "OAuth 2.0 Token Revocation", {
  "2-1": ["MUST", "The revocation endpoint uses TLS."],
  "2-2": ["SHOULD", "Access tokens can be revoked."],
  "2.1-1": ["REQUIRED", "The request contains the token."],
  "2.1-2": ["MUST", "The client is authenticated first."],
  "2.1-3": ["MUST", "A token of another client is not revoked."],
  "2.1-4": ["MUST", "The token is invalid at once."],
  "2.1-5": ["MAY", "A token_type_hint is only a hint."],
  "2.2-1": ["MUST", "Revoking a token returns 200."],
  "2.2-2": ["MUST", "An unknown token returns 200."],
  "2.2.1-1": ["MUST", "Errors have the form of RFC 6749 §5.2."],
});
