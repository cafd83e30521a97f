import { specification } from "./requirement.ts";

export const rfc9396 = specification("rfc9396", "RFC 9396", "OAuth 2.0 Rich Authorization Requests", {
  "2-1": ["REQUIRED", "Each authorization detail has a type."],
  "2-2": ["MUST", "authorization_details is a JSON array of objects."],
  "3.1-1": ["MUST", "scope and authorization_details of one request are processed together."],
  "3.1-2": ["MUST", "The user sees the complete request."],
  "3.2-1": ["MAY", "A resource parameter beside authorization_details names the API that they are for."],
  "5-1": ["MUST", "A detail of an unknown type returns invalid_authorization_details."],
  "5-2": ["MUST", "A detail with a field that its type does not define returns the same error."],
  "5-3": ["MUST", "A detail with a field of the wrong JSON type returns the same error."],
  "5-4": ["MUST", "A detail with a value that its type does not allow returns the same error."],
  "5-5": ["MUST", "A detail without a required field returns the same error."],
  "5-6": ["MUST", "A client that may not use the type is rejected."],
  "6-1": [
    "MAY",
    "A token request contains fewer details than were granted.",
    { notApplicable: "an approval is one action and is granted as a whole" },
  ],
  "7-1": ["MUST", "The token response contains the granted authorization_details."],
  "8-1": [
    "MUST",
    "Errors about details at the token endpoint are the same as in the authentication request.",
    { notApplicable: "the token endpoint accepts no details" },
  ],
  "9-1": ["MUST", "The granted details are available to the API."],
  "9.1-1": ["MUST", "A JWT access token contains them in the claim authorization_details."],
  "9.2-1": ["MUST", "An introspection response contains them in the member authorization_details."],
  "10-1": ["MUST", "Metadata lists the supported types."],
  "10-2": ["MUST", "A client is registered for the types that it may use."],
  "12-1": ["MUST", "Values in details are treated as text, and not executed or rendered as markup."],
  "2-3": ["MAY", "A request has several details."],
});
