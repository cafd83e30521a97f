/** What becomes of a token after it was issued: its form, how it is asked about, and how it is taken back. */
import { specification } from "./requirement.ts";

export const rfc9068 = specification("rfc9068", "RFC 9068", "JWT Profile for OAuth 2.0 Access Tokens", {
  "2.1-1": ["MUST", "An access token is signed, and never with none."],
  "2.1-2": ["MUST", "An access token's typ is at+jwt."],
  "2.2-1": ["REQUIRED", "An access token has iss, exp, aud, sub, client_id, iat and jti."],
  "2.2.1-1": ["SHOULD", "auth_time, acr and amr say how the person proved who they are."],
  "2.2.3-1": ["SHOULD", "Where scopes were granted, an access token has scope."],
  "2.2.3-2": ["SHOULD", "Every scope in an access token means something to its audience."],
  "3-1": ["SHOULD", "A resource that was asked for is the audience."],
  "3-2": ["MUST", "Without a resource, the audience is the API that the action belongs to."],
  "4-1": ["MUST", "The keys are published at jwks_uri."],
  "4-2": ["MUST", "The API refuses a JWT whose typ is not at+jwt."],
  "4-3": ["MUST", "The API refuses a JWT of another issuer."],
  "4-4": ["MUST", "The API refuses a JWT for another audience."],
  "4-5": ["MUST", "The API refuses a JWT whose signature does not hold, and one without."],
  "4-6": ["MUST", "The API refuses a JWT that has expired."],
  "5-1": ["MUST", "The sub of a token is a person, and never the client's id."],
});

export const rfc7662 = specification("rfc7662", "RFC 7662", "OAuth 2.0 Token Introspection", {
  "2.1-1": ["MUST", "Introspection is a POST of form parameters."],
  "2.1-2": ["REQUIRED", "The request names the token."],
  "2.1-3": ["MUST", "Who asks is authenticated."],
  "2.2-1": ["REQUIRED", "The response is JSON and states whether the token is active."],
  "2.2-2": ["SHOULD NOT", "The response for an inactive token contains other members."],
  "2.2-3": ["MUST", "An unknown token, and one that is not for who asks, is not an error but not active."],
  "2.3-1": ["MUST", "Failed authentication is answered with 401."],
  "4-1": ["MUST", "A token that has expired, was revoked or was spent is not active."],
  "4-2": ["MUST", "The endpoint is reached through TLS."],
});

export const rfc7009 = specification("rfc7009", "RFC 7009", "OAuth 2.0 Token Revocation", {
  "2-1": ["MUST", "The revocation endpoint is reached through TLS."],
  "2-2": ["SHOULD", "Access tokens can be revoked."],
  "2.1-1": ["REQUIRED", "A revocation names the token."],
  "2.1-2": ["MUST", "The client is authenticated first."],
  "2.1-3": ["MUST", "A token of another client is left alone."],
  "2.1-4": ["MUST", "The token ends at once."],
  "2.1-5": ["MAY", "A token_type_hint is only a hint."],
  "2.2-1": ["MUST", "A revoked token is answered with 200."],
  "2.2-2": ["MUST", "An unknown token is answered with 200."],
  "2.2.1-1": ["MUST", "Errors have the form of RFC 6749 §5.2."],
});
