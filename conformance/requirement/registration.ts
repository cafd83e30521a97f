/** Dynamic client registration and its management. */
import { specification } from "./requirement.ts";

export const rfc7591 = specification(
  "rfc7591",
  "RFC 7591",
  "OAuth 2.0 Dynamic Client Registration Protocol",
  {
    "2-1": ["MUST NOT", "A registration contains both jwks and jwks_uri."],
    "2-2": ["MUST", "Unknown metadata is ignored."],
    "2-3": ["MUST", "The client authenticates with its registered method."],
    "3-1": ["MUST", "The registration endpoint uses TLS."],
    "3-2": ["MAY", "Registration requires an initial access token."],
    "3.1-1": ["MUST", "A registration is a POST of JSON."],
    "3.2.1-1": ["REQUIRED", "A successful registration returns 201 and a unique client_id."],
    "3.2.1-2": ["REQUIRED", "A response with a client_secret contains client_secret_expires_at."],
    "3.2.1-3": ["MUST", "The response contains all registered metadata."],
    "3.2.1-4": ["MUST", "The response is not cached."],
    "3.2.2-1": ["MUST", "Unacceptable metadata returns 400 and invalid_client_metadata."],
    "3.2.2-2": ["MUST", "An invalid token returns the errors of RFC 6750."],
    "5-1": ["MUST", "Descriptive metadata of the client is not trusted."],
  },
);

export const rfc7592 = specification(
  "rfc7592",
  "RFC 7592",
  "OAuth 2.0 Dynamic Client Registration Management Protocol",
  {
    "2-1": ["MUST", "Each call requires the registration access token."],
    "2-2": ["MUST", "A token of another client returns 401."],
    "2.1-1": ["MUST", "GET returns the current registration."],
    "2.2-1": ["MUST", "PUT replaces the registration and is validated like a new one."],
    "2.2-2": ["MUST", "PUT contains the unchanged client_id."],
    "2.3-1": ["MUST", "DELETE removes client, credentials and token, and returns 204."],
    "3-1": ["REQUIRED", "The response contains registration_access_token and registration_client_uri."],
  },
);
