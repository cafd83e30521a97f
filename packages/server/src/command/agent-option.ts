/** An agent's registration in words of the command line: from options to client metadata, and from its problems to options. */
import { readFileSync } from "node:fs";
import { inspectText, type Json, parseJson } from "@countersign/protocol";
import {
  authenticationMethods,
  certificateNames,
  deliveryModes,
  signatureAlgorithms,
} from "../client/client.ts";
import type { Problem } from "../client/problem.ts";
import { typeMetadata } from "../client/type-metadata.ts";
import type { Config } from "../config/config.ts";
import type { Arguments, Option } from "./command.ts";
import { OperatorError } from "./operator-error.ts";

type Metadata = { readonly [member: string]: Json | undefined };

/** What an option says about a registration. */
type Spoken = {
  readonly value: string;
  readonly says: string;
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

const spoken: { readonly [option: string]: Spoken } = {
  auth: {
    value: "METHOD",
    says: `how it proves itself: ${authenticationMethods.join(", ")} (default: ${authenticationMethods[0]})`,
    members: ["token_endpoint_auth_method"],
    ends: [...tlsMembers, "token_endpoint_auth_signing_alg"],
  },
  "auth-alg": {
    value: "ALG",
    says: "the one algorithm of its assertions",
    members: ["token_endpoint_auth_signing_alg"],
  },
  jwks: {
    value: "FILE",
    says: "its public keys, a JWK Set",
    members: ["jwks"],
    ends: ["jwks_uri"],
    read: (file) => ({ jwks: readJwks(file) }),
  },
  "jwks-uri": {
    value: "URL",
    says: "where it publishes its public keys",
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
    says: `how it learns of an answer: ${deliveryModes.join(", ")} (default: ${deliveryModes[0]})`,
    members: ["backchannel_token_delivery_mode"],
    read: (mode) => ({
      backchannel_token_delivery_mode: mode,
      ...(mode === "poll" && { [endpoint]: undefined }),
    }),
  },
  callback: { value: "URL", says: "what is called, for ping and push", members: [endpoint] },
  "signed-requests": {
    value: "ALG",
    says: `each of its asks is signed: ${signatureAlgorithms.join(", ")}; or none`,
    members: [signed],
    read: (algorithm) => ({ [signed]: algorithm === "none" ? undefined : algorithm }),
  },
  bound: {
    value: "BY",
    says: "its tokens are bound to a key of its own: dpop, mtls; or none",
    members: boundMembers,
    ends: boundMembers,
    read: readBound,
  },
  "user-code": {
    value: "yes|no",
    says: "whether it sends the approver's user code along",
    members: ["backchannel_user_code_parameter"],
    read: (word) => ({ backchannel_user_code_parameter: readYes(word) }),
  },
};

export const agentOptions: { readonly [name: string]: Option } = {
  name: { type: "string", value: "NAME", says: "what approvers see on every card (default: the id)" },
  type: {
    type: "string",
    multiple: true,
    value: "TYPE",
    says: "an action type or action scope it may ask for; repeat for more",
  },
  ...Object.fromEntries(
    Object.entries(spoken).map(([name, { value, says }]) => [name, { type: "string", value, says }] as const),
  ),
};

/** The members that the options speak of, undefined for one that ends. What nobody spoke of is not there. */
export function metadataFrom(given: Arguments, { actions }: Pick<Config, "actions">): Metadata {
  const members: { [member: string]: Json | undefined } = {};
  for (const [option, { ends = [] }] of Object.entries(spoken))
    if (given.one(option) !== undefined) for (const member of ends) members[member] = undefined;
  for (const [option, { members: own, read }] of Object.entries(spoken)) {
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
  return Object.entries(spoken).find(([, { members }]) => members.includes(member))?.[0];
}

export function readName(name: string): string {
  if (name !== "" && inspectText(name, { maxCodePoints: 60 }) === undefined) return name;
  throw new OperatorError(
    "that name cannot be shown as it is",
    "Use up to 60 visible characters: approvers read it on every card.",
  );
}

function tlsName(name: (typeof certificateNames)[number], value: string, says: string): Spoken {
  return { value, says: `tls_client_auth: ${says}`, members: [`tls_client_auth_${name}`], ends: tlsMembers };
}

function readBound(bound: string): Metadata {
  if (bound === "dpop") return { dpop_bound_access_tokens: true };
  if (bound === "mtls") return { tls_client_certificate_bound_access_tokens: true };
  if (bound === "none") return {};
  throw new OperatorError(`--bound: nothing is bound by "${bound}"`, "Use dpop, mtls or none.");
}

function readYes(word: string): boolean {
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
