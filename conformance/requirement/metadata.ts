/** What the server says of itself, and how a client says where it means to use its token. */
import { specification } from "./requirement.ts";

export const rfc8414 = specification("rfc8414", "RFC 8414", "OAuth 2.0 Authorization Server Metadata", {
  "2-1": ["REQUIRED", "issuer is an https URL without query and fragment."],
  "2-2": ["REQUIRED", "There is a token_endpoint."],
  "2-3": ["REQUIRED", "There is response_types_supported."],
  "2-4": ["MUST", "jwks_uri leads to the keys that sign."],
  "2-5": [
    "MUST",
    "Where clients may sign assertions, the algorithms are listed, and none is not among them.",
  ],
  "2-6": ["REQUIRED", "There is an authorization_endpoint, unless no grant type uses it."],
  "3-1": ["MUST", "The document is at the well-known path, in JSON."],
  "3.1-1": ["MUST", "The document is there for a GET."],
  "3.2-1": ["MUST", "The answer is 200 with application/json."],
  "3.2-2": [
    "MUST",
    "Members with no elements are left out.",
    {
      knownFailure:
        "response_types_supported is there and empty: §2 requires it, no flow goes through a browser here, and real clients refuse a document without it",
    },
  ],
  "3.3-1": ["MUST", "issuer is identical to the issuer of the document's URL."],
});

export const rfc8707 = specification("rfc8707", "RFC 8707", "Resource Indicators for OAuth 2.0", {
  "2-1": ["MUST", "resource is an absolute URI."],
  "2-2": ["MUST NOT", "resource has a fragment."],
  "2-3": ["MUST", "A resource that is unknown, or not the action's, is invalid_target."],
  "2-4": ["SHOULD", "The token's audience is the resource that was asked for."],
  "2-5": [
    "MAY",
    "Several resources are asked for at once.",
    { notApplicable: "an action is for one API; a repeated parameter is refused" },
  ],
  "2.2-1": ["MUST", "resource at the token endpoint that was not approved is invalid_target."],
});
