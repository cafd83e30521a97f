/** Agents that register themselves. */
import { specification } from "./requirement.ts";

export const rfc7591 = specification(
  "rfc7591",
  "RFC 7591",
  "OAuth 2.0 Dynamic Client Registration Protocol",
  {
    "2-1": ["MUST NOT", "jwks and jwks_uri are both given."],
    "2-2": ["MUST", "Metadata that is not understood is ignored."],
    "2-3": ["MUST", "The client authenticates with its registered method."],
    "3-1": ["MUST", "The registration endpoint is reached through TLS."],
    "3-2": ["MAY", "Only who has an initial access token may register."],
    "3.1-1": ["MUST", "A registration is a POST of JSON."],
    "3.2.1-1": ["REQUIRED", "A registration is answered with 201 and a client_id of its own."],
    "3.2.1-2": ["REQUIRED", "With a secret comes client_secret_expires_at."],
    "3.2.1-3": ["MUST", "The answer has all metadata as it was registered."],
    "3.2.1-4": ["MUST", "The answer is not cached."],
    "3.2.2-1": ["MUST", "Metadata that cannot be taken is answered with 400 and invalid_client_metadata."],
    "3.2.2-2": ["MUST", "An invalid token returns the errors of RFC 6750."],
    "5-1": ["MUST", "Descriptive metadata of the client is not trusted."],
  },
);

export const rfc7592 = specification(
  "rfc7592",
  "RFC 7592",
  "OAuth 2.0 Dynamic Client Registration Management Protocol",
  {
    "2-1": ["MUST", "The registration access token is needed for each call."],
    "2-2": ["MUST", "A token that is not this client's is answered with 401."],
    "2.1-1": ["MUST", "GET answers the registration as it stands."],
    "2.2-1": ["MUST", "PUT replaces the registration, and is checked as a new one."],
    "2.2-2": ["MUST", "PUT names the client_id, and it is the same."],
    "2.3-1": ["MUST", "DELETE ends client, credentials and token with 204."],
    "3-1": ["REQUIRED", "The answer has registration_access_token and registration_client_uri."],
  },
);
