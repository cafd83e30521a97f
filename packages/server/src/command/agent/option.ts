/** An agent's registration in words of the command line: from options to client metadata, and from its problems to options. */
import { readFileSync } from "node:fs";
import { inspectText, type Json, parseJson } from "@countersign/protocol";
import type { Config } from "../../config/config.ts";
import {
  authenticationMethods,
  certificateNames,
  deliveryModes,
  signatureAlgorithms,
} from "../../domain/client/client.ts";
import type { Problem } from "../../domain/client/problem.ts";
import { typeMetadata } from "../../domain/client/type-metadata.ts";
import type { Arguments, Option } from "../cli/command.ts";
import { OperatorError } from "../cli/operator-error.ts";

type Metadata = { readonly [member: string]: Json | undefined };

/** What an option summary about a registration. */
type Spoken = {
  readonly value: string;
  readonly summary: string;
  /** The members that it speaks of: where one of them is wrong, it is the option to look at. */
  readonly members: readonly string[];
  /** What goes when it is given, unless another option puts it back: what belonged to the way before. */
  readonly ends?: readonly string[];
  /** Without it, the value is that of the one member. */
  readonly read?: (value: string) => Metadata;
};

const tlsMembers = certificateNames.map((name) => `tls_client_auth_${name}`);
const boundMembers = ["dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"];
const endpoint = "backchannel_client_notification_endpoint";
const signed = "backchannel_authentication_request_signing_alg";

const optionSpecs: { readonly [option: string]: Spoken } = {
  auth: {
    value: "METHOD",
    summary: `how it proves itself: ${authenticationMethods.join(", ")} (default: ${authenticationMethods[0]})`,
    members: ["token_endpoint_auth_method"],
    ends: [...tlsMembers, "token_endpoint_auth_signing_alg"],
  },
  "auth-alg": {
    value: "ALG",
    summary: "the one algorithm of its assertions",
    members: ["token_endpoint_auth_signing_alg"],
  },
  jwks: {
    value: "FILE",
    summary: "its public keys, a JWK Set",
    members: ["jwks"],
    ends: ["jwks_uri"],
    read: (file) => ({ jwks: readJwks(file) }),
  },
  "jwks-uri": {
    value: "URL",
    summary: "where it publishes its public keys",
    members: ["jwks_uri"],
    ends: ["jwks"],
  },
  "tls-subject": tlsName("subject_dn", "DN", "the subject of its certificate, as in CN=agent,O=Example"),
  "tls-san-dns": tlsName("san_dns", "NAME", "a DNS name in its certificate"),
  "tls-san-uri": tlsName("san_uri", "URI", "a URI in its certificate"),
  "tls-san-ip": tlsName("san_ip", "ADDRESS", "an IP address in its certificate"),
  "tls-san-email": tlsName("san_email", "ADDRESS", "an e-mail address in its certificate"),
  delivery: {
    value: "MODE",
    summary: `how it learns of an answer: ${deliveryModes.join(", ")} (default: ${deliveryModes[0]})`,
    members: ["backchannel_token_delivery_mode"],
    read: (mode) => ({
      backchannel_token_delivery_mode: mode,
      ...(mode === "poll" && { [endpoint]: undefined }),
    }),
  },
  callback: { value: "URL", summary: "what is called, for ping and push", members: [endpoint] },
  "signed-requests": {
    value: "ALG",
    summary: `each of its asks is signed: ${signatureAlgorithms.join(", ")}; or none`,
    members: [signed],
    read: (algorithm) => ({ [signed]: algorithm === "none" ? undefined : algorithm }),
  },
  bound: {
    value: "BY",
    summary: "its tokens are bound to a key of its own: dpop, mtls; or none",
    members: boundMembers,
    ends: boundMembers,
    read: readBound,
  },
  "user-code": {
    value: "yes|no",
    summary: "whether it sends the approver's user code along",
    members: ["backchannel_user_code_parameter"],
    read: (word) => ({ backchannel_user_code_parameter: parseBoolean(word) }),
  },
};

export const agentOptions: { readonly [name: string]: Option } = {
  name: { type: "string", value: "NAME", summary: "what approvers see on every card (default: the id)" },
  type: {
    type: "string",
    multiple: true,
    value: "TYPE",
    summary: "an action type or action scope it may ask for; repeat for more",
  },
  ...Object.fromEntries(
    Object.entries(optionSpecs).map(
      ([name, { value, summary }]) => [name, { type: "string", value, summary }] as const,
    ),
  ),
};

/** The members that the options speak of, undefined for one that ends. What nobody spoke of is not there. */
export function metadataFrom(given: Arguments, { actions }: Pick<Config, "actions">): Metadata {
  const members: { [member: string]: Json | undefined } = {};
  for (const [option, { ends = [] }] of Object.entries(optionSpecs))
    if (given.one(option) !== undefined) for (const member of ends) members[member] = undefined;
  for (const [option, { members: own, read }] of Object.entries(optionSpecs)) {
    const value = given.one(option);
    if (value !== undefined) Object.assign(members, read ? read(value) : { [own[0]!]: value });
  }
  const types = given.many("type");
  return types.length > 0 ? { ...members, ...typeMetadata(types, actions) } : members;
}

/** All that is wrong, each with the option that said it; other options are called by their names, too. */
export function problemsError(problems: readonly Problem[]): OperatorError {
  const found = problems.map(({ member, message, remedy }) => ({
    what: `--${optionOf(member) ?? "type"}: ${message}`,
    remedy: remedy.replaceAll(/\w+/g, (word) => {
      const option = optionOf(word);
      return option ? `--${option}` : word;
    }),
  }));
  const [first, ...others] = found;
  if (!first || others.length > 0)
    return new OperatorError(found.map(({ what, remedy }) => `${what}; ${remedy}`).join("\n"));
  return new OperatorError(first.what, `${first.remedy[0]?.toUpperCase()}${first.remedy.slice(1)}.`);
}

function optionOf(member: string): string | undefined {
  return Object.entries(optionSpecs).find(([, { members }]) => members.includes(member))?.[0];
}

export function parseName(name: string): string {
  if (name !== "" && inspectText(name, { maxCodePoints: 60 }) === undefined) return name;
  throw new OperatorError(
    "that name cannot be shown as it is",
    "Use up to 60 visible characters: approvers read it on every card.",
  );
}

function tlsName(name: (typeof certificateNames)[number], value: string, summary: string): Spoken {
  return {
    value,
    summary: `tls_client_auth: ${summary}`,
    members: [`tls_client_auth_${name}`],
    ends: tlsMembers,
  };
}

function readBound(bound: string): Metadata {
  if (bound === "dpop") return { dpop_bound_access_tokens: true };
  if (bound === "mtls") return { tls_client_certificate_bound_access_tokens: true };
  if (bound === "none") return {};
  throw new OperatorError(`--bound: nothing is bound by "${bound}"`, "Use dpop, mtls or none.");
}

function parseBoolean(word: string): boolean {
  if (word !== "yes" && word !== "no")
    throw new OperatorError(`--user-code: "${word}" is neither yes nor no`, "Say yes or no.");
  return word === "yes";
}

function readJwks(file: string): Json {
  const form = 'A JWK Set looks like {"keys":[{"kty":"EC",...}]}.';
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    throw new OperatorError(`--jwks: the file ${file} cannot be read`, form);
  }
  const read = parseJson(text);
  if ("value" in read) return read.value;
  throw new OperatorError(`--jwks: ${file} cannot be read as JSON (${read.refused} at ${read.path})`, form);
}
