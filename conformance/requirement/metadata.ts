/** Authorization server metadata, and resource indicators. */
import { specification } from "./requirement.ts";

export const rfc8414 = specification("rfc8414", "RFC 8414", "OAuth 2.0 Authorization Server Metadata", {
  "2-1": ["REQUIRED", "issuer is an https URL without query and fragment."],
  "2-2": ["REQUIRED", "Metadata contains token_endpoint."],
  "2-3": ["REQUIRED", "Metadata contains response_types_supported."],
  "2-4": ["MUST", "jwks_uri returns the signing keys."],
  "2-5": ["MUST", "If clients may sign assertions, metadata lists the algorithms, without none."],
  "2-6": ["REQUIRED", "Metadata contains authorization_endpoint, unless no grant type uses it."],
  "3-1": ["MUST", "The document is JSON at the well-known path."],
  "3.1-1": ["MUST", "The document is returned for a GET."],
  "3.2-1": ["MUST", "The response is 200 with application/json."],
  "3.2-2": [
    "MUST",
    "Members with no elements are omitted.",
    {
      knownFailure:
        "response_types_supported is an empty list: §2 requires the member, no flow uses a browser, and existing clients reject a document without it",
    },
  ],
  "3.3-1": ["MUST", "issuer is identical to the issuer from which the document's URL was built."],
});

export const rfc8707 = specification("rfc8707", "RFC 8707", "Resource Indicators for OAuth 2.0", {
  "2-1": ["MUST", "resource is an absolute URI."],
  "2-2": ["MUST NOT", "resource has a fragment."],
  "2-3": ["MUST", "A resource that is unknown, or that is not the action's, returns invalid_target."],
  "2-4": ["SHOULD", "The audience of the token is the requested resource."],
  "2-5": [
    "MAY",
    "A request contains several resources.",
    { notApplicable: "an action is for one API; a repeated parameter is rejected" },
  ],
  "2.2-1": ["MUST", "A resource at the token endpoint that was not approved returns invalid_target."],
});
