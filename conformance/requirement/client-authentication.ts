/** How a client proves who it is: by a signed assertion, or by the certificate of its connection. */
import { specification } from "./requirement.ts";

export const rfc7523 = specification(
  "rfc7523",
  "RFC 7523",
  "JWT Profile for OAuth 2.0 Client Authentication",
  {
    "2.2-1": ["MUST", "client_assertion_type has the one value that is defined for JWTs."],
    "2.2-2": ["MUST", "client_assertion is a single JWT."],
    "3-1": ["MUST", "An assertion has an iss, which is the client."],
    "3-2": ["MUST", "An assertion has a sub, which is the client."],
    "3-3": ["MUST", "An assertion has an aud, and one that does not name us is refused."],
    "3-4": ["MUST", "An assertion has an exp, and is refused after it."],
    "3-5": ["MUST NOT", "An assertion is taken before its nbf."],
    "3-6": ["MAY", "An assertion with an exp that is unreasonably far away is refused."],
    "3-7": ["MAY", "An assertion's jti is taken once."],
    "3-8": ["MUST", "An assertion is signed, and a signature that does not hold is refused."],
    "3-9": ["MUST", "An assertion that is no valid JWT in any other respect is refused."],
    "3.2-1": ["MUST", "Whatever is wrong with an assertion, the answer is invalid_client."],
    "4-1": ["MUST", "client_id beside an assertion names the same client."],
  },
);

export const rfc8705 = specification(
  "rfc8705",
  "RFC 8705",
  "OAuth 2.0 Mutual-TLS Client Authentication and Certificate-Bound Access Tokens",
  {
    "2-1": ["MUST", "Requests with mTLS authentication name the client by client_id."],
    "2-2": ["MUST", "A certificate that is not the client's is answered with invalid_client."],
    "2.1-1": ["MUST", "tls_client_auth wants a certificate that was validated and has the registered name."],
    "2.1.1-1": ["MUST", "Metadata lists the mTLS methods that there are."],
    "2.1.2-1": ["MUST", "Registering tls_client_auth names exactly one subject name."],
    "2.2-1": ["MUST", "self_signed_tls_client_auth wants one of the client's registered certificates."],
    "2.2-2": ["MUST NOT", "A self-signed certificate's chain is validated."],
    "3-1": ["MUST", "Where the client registered for it, the token is bound to its certificate."],
    "3-2": ["MUST", "The API gets the certificate's thumbprint and refuses another certificate with 401."],
    "3.1-1": ["MUST", "A JWT access token has the thumbprint as cnf.x5t#S256."],
    "3.2-1": ["MUST", "Introspection has the thumbprint as cnf.x5t#S256."],
    "3.3-1": ["MUST", "Metadata states whether certificate-bound tokens are supported."],
    "3.4-1": ["MUST", "A client is registered for bound tokens, and gets no others."],
    "4-1": [
      "MAY",
      "A public client's tokens are bound to its certificate.",
      { notApplicable: "there are no public clients" },
    ],
    "5-1": ["MAY", "Metadata names the URLs for those who come with a certificate, and they answer there."],
    "7.2-1": ["MUST", "Only certificates of authorities that the operator trusts count as validated."],
  },
);
