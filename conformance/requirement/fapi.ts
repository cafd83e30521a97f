/**
 * The FAPI-CIBA profile (Implementer's Draft 1), and what it takes over from FAPI 1.0 as far as that concerns a server
 * without a browser flow. It is claimed for clients that are registered for it: signed requests, bound tokens.
 */
import { specification } from "./requirement.ts";

const noBrowser = { notApplicable: "there is no browser flow" };

export const fapiCiba = specification(
  "fapi-ciba",
  "FAPI-CIBA",
  "FAPI: Client Initiated Backchannel Authentication Profile, Implementer's Draft 1",
  {
    "5.2.2-1": ["MUST", "CIBA is for confidential clients only."],
    "5.2.2-2": ["MUST", "A request describes its purpose, or has a binding message."],
    "5.2.2-3": ["MUST NOT", "Clients of the profile use push."],
    "5.2.2-4": ["MUST", "Poll is there."],
    "5.2.2-5": ["MAY", "Ping is there."],
    "5.2.2-6": ["MUST", "A client of the profile signs its requests, and unsigned ones are refused."],
    "5.2.2-7": ["MUST", "The person proves who they are as strongly as the operation needs."],
    "5.2.2-8": ["MUST", "Where an acr was asked for, the ID token has one."],
    "5.2.2-9": ["MUST", "A signed request has nbf and exp, no more than sixty minutes apart."],
    "5.2.2-10": [
      "MAY",
      "A request_context is required of clients.",
      { notApplicable: "it is not required, and ignored where it is sent" },
    ],
  },
);

export const fapi = specification(
  "fapi",
  "FAPI 1.0",
  "FAPI Security Profile 1.0, Part 1: Baseline and Part 2: Advanced",
  {
    "base-5.2.2-4": ["MUST", "Clients authenticate by mTLS or by a signed assertion."],
    "base-5.2.2-5": ["MUST", "RSA keys have at least 2048 bits."],
    "base-5.2.2-6": ["MUST", "Keys on curves have at least 160 bits."],
    "base-5.2.2-7": ["MUST", "Redirection is bound by PKCE and registered URIs.", noBrowser],
    "base-5.2.2-12": ["MUST", "The person approves explicitly."],
    "base-5.2.2-14": ["MUST", "Token responses are those of RFC 6749."],
    "base-5.2.2-16": ["MUST", "Tokens cannot be guessed."],
    "base-5.2.2-17": ["SHOULD", "The person is shown the details of the grant."],
    "base-5.2.2-19": ["MUST", "Two client ids in one request that differ are invalid_client."],
    "base-5.2.2-21": ["SHOULD", "Tokens live less than ten minutes."],
    "base-5.2.2-22": ["MUST", "There is OpenID Connect discovery."],
    "base-6.2.1-1": ["MUST", "The API takes tokens in the header."],
    "base-6.2.1-2": ["MUST NOT", "The API takes tokens in the query."],
    "base-6.2.1-3": ["MUST", "The API answers JSON with a date and the caller's x-fapi-interaction-id."],
    "adv-5.2.2-5": ["MUST", "Only bound tokens are issued."],
    "adv-5.2.2-6": ["MUST", "Tokens can be bound by RFC 8705."],
    "adv-5.2.2-10": ["MUST", "Only the parameters in the signed request are used."],
    "adv-5.2.2-13": ["MUST", "exp is no later than sixty minutes after nbf."],
    "adv-5.2.2-15": ["MUST", "aud is, or contains, our issuer."],
    "adv-5.2.2-16": ["MUST NOT", "There are public clients."],
    "adv-5.2.2-17": ["MUST", "nbf is no longer than sixty minutes ago."],
    "adv-8.5-1": ["MUST", "TLS 1.2 is spoken with the four permitted cipher suites only."],
    "adv-8.5-2": ["MUST NOT", "TLS before 1.2 is spoken."],
    "adv-8.6-1": ["MUST", "JWTs of clients and of the server are signed with PS256 or ES256."],
    "adv-8.6-2": ["MUST NOT", "RS256 is taken from a client that registered for PS256."],
    "adv-8.6-3": ["MUST NOT", "none is taken."],
  },
);
