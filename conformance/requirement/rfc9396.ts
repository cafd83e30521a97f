import { specification } from "./requirement.ts";

export const rfc9396 = specification("rfc9396", "RFC 9396", "OAuth 2.0 Rich Authorization Requests", {
  "2-1": ["REQUIRED", "Each authorization detail has a type."],
  "2-2": ["MUST", "authorization_details is a JSON array of objects."],
  "3.1-1": ["MUST", "scope and authorization_details of one request are taken together."],
  "3.1-2": ["MUST", "The person is shown all that is asked for."],
  "3.2-1": ["MAY", "A resource parameter beside authorization_details names where they are used."],
  "5-1": ["MUST", "A detail of an unknown type is refused with invalid_authorization_details."],
  "5-2": ["MUST", "A detail with a field unknown to its type is refused likewise."],
  "5-3": ["MUST", "A detail with a field of the wrong kind is refused likewise."],
  "5-4": ["MUST", "A detail with a value that its type does not allow is refused likewise."],
  "5-5": ["MUST", "A detail without a field that its type requires is refused likewise."],
  "5-6": ["MUST", "A client that may not use a type is refused."],
  "6-1": [
    "MAY",
    "A token request asks for fewer details than were granted.",
    { notApplicable: "what was approved is one action and is granted whole" },
  ],
  "7-1": ["MUST", "The token response has authorization_details as granted."],
  "8-1": [
    "MUST",
    "Errors about details at the token endpoint are those of the request.",
    { notApplicable: "the token endpoint takes no details" },
  ],
  "9-1": ["MUST", "The details that were granted are available to the API."],
  "9.1-1": ["MUST", "In a JWT access token they are the top-level claim authorization_details."],
  "9.2-1": ["MUST", "In introspection they are the top-level member authorization_details."],
  "10-1": ["MUST", "Metadata lists the types that there are."],
  "10-2": ["MUST", "A client is registered for the types that it uses."],
  "12-1": ["MUST", "Values in details are treated as text and never executed or rendered as markup."],
  "2-3": ["MAY", "One request has several details."],
});
