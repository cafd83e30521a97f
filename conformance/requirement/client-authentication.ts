/** Client authentication by a signed assertion or a client certificate. */
import { specification } from "./requirement.ts";

export const rfc7523 = specification(
  "rfc7523",
  "RFC 7523",
  "JWT Profile for OAuth 2.0 Client Authentication",
  {
    "2.2-1": ["MUST", "client_assertion_type is the value that is defined for JWTs."],
    "2.2-2": ["MUST", "client_assertion is a single JWT."],
    "3-1": ["MUST", "The iss of an assertion is the client."],
    "3-2": ["MUST", "The sub of an assertion is the client."],
    "3-3": ["MUST", "An assertion has an aud; one that does not contain this server is rejected."],
    "3-4": ["MUST", "An assertion has an exp, and is rejected after it."],
    "3-5": ["MUST NOT", "An assertion is accepted before its nbf."],
    "3-6": ["MAY", "An assertion with an exp too far in the future is rejected."],
    "3-7": ["MAY", "Each jti is accepted once."],
    "3-8": ["MUST", "An assertion is signed; an invalid signature is rejected."],
    "3-9": ["MUST", "An assertion that is not a valid JWT in another respect is rejected."],
    "3.2-1": ["MUST", "Every invalid assertion returns invalid_client."],
    "4-1": ["MUST", "client_id beside an assertion names the same client."],
  },
);

export const rfc8705 = specification(
  "rfc8705",
  "RFC 8705",
  "OAuth 2.0 Mutual-TLS Client Authentication and Certificate-Bound Access Tokens",
  {
    "2-1": ["MUST", "Requests with mutual TLS authentication contain the client_id."],
    "2-2": ["MUST", "A certificate of another client returns invalid_client."],
    "2.1-1": ["MUST", "tls_client_auth requires a validated certificate with the registered name."],
    "2.1.1-1": ["MUST", "Metadata lists the supported mutual TLS methods."],
    "2.1.2-1": ["MUST", "A registration for tls_client_auth contains exactly one subject name."],
    "2.2-1": ["MUST", "self_signed_tls_client_auth requires one of the client's registered certificates."],
    "2.2-2": ["MUST NOT", "A self-signed certificate's chain is validated."],
    "3-1": ["MUST", "If the client registered for it, the token is bound to its certificate."],
    "3-2": [
      "MUST",
      "The API receives the certificate's thumbprint and rejects another certificate with 401.",
    ],
    "3.1-1": ["MUST", "A JWT access token contains the thumbprint as cnf.x5t#S256."],
    "3.2-1": ["MUST", "An introspection response contains the thumbprint as cnf.x5t#S256."],
    "3.3-1": ["MUST", "Metadata states whether certificate-bound tokens are supported."],
    "3.4-1": ["MUST", "A client that is registered for bound tokens receives no others."],
    "4-1": [
      "MAY",
      "A public client's tokens are bound to its certificate.",
      { notApplicable: "public clients are not supported" },
    ],
    "5-1": [
      "MAY",
      "Metadata contains the URLs for clients with a certificate, and the endpoints respond there.",
    ],
    "7.2-1": ["MUST", "Only certificates of trusted authorities count as validated."],
  },
);
