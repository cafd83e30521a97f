/**
 * The FAPI-CIBA profile (Implementer's Draft 1), and the clauses of FAPI 1.0 that it includes and that concern a server without a
 * browser flow. It applies to clients that are registered for signed requests and bound tokens.
 */
import { specification } from "./requirement.ts";

const noBrowser = { notApplicable: "there is no browser flow" };

export const fapiCiba = specification(
  "fapi-ciba",
  "FAPI-CIBA",
  "FAPI: Client Initiated Backchannel Authentication Profile, Implementer's Draft 1",
  {
    "5.2.2-1": ["MUST", "CIBA is for confidential clients only."],
    "5.2.2-2": ["MUST", "A request describes its purpose or has a binding message."],
    "5.2.2-3": ["MUST NOT", "Clients of the profile use push."],
    "5.2.2-4": ["MUST", "Poll is supported."],
    "5.2.2-5": ["MAY", "Ping is supported."],
    "5.2.2-6": ["MUST", "A client of the profile signs its requests; unsigned requests are rejected."],
    "5.2.2-7": ["MUST", "The user is authenticated at the level that the operation requires."],
    "5.2.2-8": ["MUST", "If an acr was requested, the ID token has one."],
    "5.2.2-9": ["MUST", "A signed request has nbf and exp, at most sixty minutes apart."],
    "5.2.2-10": [
      "MAY",
      "Clients have to send a request_context.",
      { notApplicable: "it is not required, and ignored if sent" },
    ],
  },
);

export const fapi = specification(
  "fapi",
  "FAPI 1.0",
  "FAPI Security Profile 1.0, Part 1: Baseline and Part 2: Advanced",
  {
    "base-5.2.2-4": ["MUST", "Clients authenticate with mutual TLS or a signed assertion."],
    "base-5.2.2-5": ["MUST", "RSA keys have at least 2048 bits."],
    "base-5.2.2-6": ["MUST", "Elliptic curve keys have at least 160 bits."],
    "base-5.2.2-7": ["MUST", "Redirects are protected by PKCE and registered URIs.", noBrowser],
    "base-5.2.2-12": ["MUST", "The user approves explicitly."],
    "base-5.2.2-14": ["MUST", "Token responses have the form of RFC 6749."],
    "base-5.2.2-16": ["MUST", "Tokens cannot be guessed."],
    "base-5.2.2-17": ["SHOULD", "The user sees the details of the grant."],
    "base-5.2.2-19": ["MUST", "Two different client ids in one request return invalid_client."],
    "base-5.2.2-21": ["SHOULD", "Access tokens are valid for less than ten minutes."],
    "base-5.2.2-22": ["MUST", "OpenID Connect Discovery is supported."],
    "base-6.2.1-1": ["MUST", "The API accepts tokens in the header."],
    "base-6.2.1-2": ["MUST NOT", "The API accepts tokens in the query."],
    "base-6.2.1-3": ["MUST", "The API returns JSON with a Date and the caller's x-fapi-interaction-id."],
    "adv-5.2.2-5": ["MUST", "Only sender-constrained tokens are issued."],
    "adv-5.2.2-6": ["MUST", "Tokens can be bound to a certificate (RFC 8705)."],
    "adv-5.2.2-10": ["MUST", "Only parameters inside the signed request are used."],
    "adv-5.2.2-13": ["MUST", "exp is at most sixty minutes after nbf."],
    "adv-5.2.2-15": ["MUST", "aud is, or contains, the issuer."],
    "adv-5.2.2-16": ["MUST NOT", "Public clients are supported."],
    "adv-5.2.2-17": ["MUST", "nbf is at most sixty minutes in the past."],
    "adv-8.5-1": ["MUST", "TLS 1.2 is accepted with the four permitted cipher suites only."],
    "adv-8.5-2": ["MUST NOT", "TLS before 1.2 is accepted."],
    "adv-8.6-1": ["MUST", "JWTs of clients and of the server are signed with PS256 or ES256."],
    "adv-8.6-2": ["MUST NOT", "RS256 is accepted from a client that registered PS256."],
    "adv-8.6-3": ["MUST NOT", "The algorithm none is accepted."],
  },
);
