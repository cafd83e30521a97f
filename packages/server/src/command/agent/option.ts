/** Maps command options to client metadata, and problems of metadata to options. */
import { readFileSync } from "node:fs";
import { inspectText, type Json, parseJson } from "@countersign/protocol";
import type { Config } from "../../config/config.ts";
import {
  authenticationMethods,
  certificateNames,
  deliveryModes,
  signatureAlgorithms,
} from "../../domain/client/client.ts";
import type { MetadataProblem } from "../../domain/client/problem.ts";
import { toTypeMetadata } from "../../domain/client/type-metadata.ts";
import type { Arguments, Option } from "../cli/command.ts";
import { OperatorError } from "../cli/operator-error.ts";

type Metadata = { readonly [member: string]: Json | undefined };

/** How a command option maps to client metadata. */
type OptionSpec = {
  readonly value: string;
  readonly summary: string;
  /** The members that it sets. A problem of one of them is reported as a problem of the option. */
  readonly members: readonly string[];
  /** Members that it removes unless another option sets them: they belonged to the previous method. */
  readonly clears?: readonly string[];
  /** Default: the value of the only member. */
  readonly parse?: (value: string) => Metadata;
};

const tlsMembers = certificateNames.map((name) => `tls_client_auth_${name}`);
const boundMembers = ["dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"];
const endpointMember = "backchannel_client_notification_endpoint";
const signingAlgMember = "backchannel_authentication_request_signing_alg";

const optionSpecs: { readonly [option: string]: OptionSpec } = {
  auth: {
    value: "METHOD",
    summary: `authentication method: ${authenticationMethods.join(", ")} (default: ${authenticationMethods[0]})`,
    members: ["token_endpoint_auth_method"],
    clears: [...tlsMembers, "token_endpoint_auth_signing_alg"],
  },
  "auth-alg": {
    value: "ALG",
    summary: "the only algorithm accepted for its client assertions",
    members: ["token_endpoint_auth_signing_alg"],
  },
  jwks: {
    value: "FILE",
    summary: "its public keys, a JWK Set",
    members: ["jwks"],
    clears: ["jwks_uri"],
    parse: (file) => ({ jwks: readJwks(file) }),
  },
  "jwks-uri": {
    value: "URL",
    summary: "the URL of its JWK Set",
    members: ["jwks_uri"],
    clears: ["jwks"],
  },
  "tls-subject": createTlsNameOption(
    "subject_dn",
    "DN",
    "the subject of its certificate, as in CN=agent,O=Example",
  ),
  "tls-san-dns": createTlsNameOption("san_dns", "NAME", "a DNS name in its certificate"),
  "tls-san-uri": createTlsNameOption("san_uri", "URI", "a URI in its certificate"),
  "tls-san-ip": createTlsNameOption("san_ip", "ADDRESS", "an IP address in its certificate"),
  "tls-san-email": createTlsNameOption("san_email", "ADDRESS", "an e-mail address in its certificate"),
  delivery: {
    value: "MODE",
    summary: `token delivery mode: ${deliveryModes.join(", ")} (default: ${deliveryModes[0]})`,
    members: ["backchannel_token_delivery_mode"],
    parse: (mode) => ({
      backchannel_token_delivery_mode: mode,
      ...(mode === "poll" && { [endpointMember]: undefined }),
    }),
  },
  callback: {
    value: "URL",
    summary: "the notification endpoint; required for ping and push",
    members: [endpointMember],
  },
  "signed-requests": {
    value: "ALG",
    summary: `require signed requests: ${signatureAlgorithms.join(", ")}; or none`,
    members: [signingAlgMember],
    parse: (algorithm) => ({ [signingAlgMember]: algorithm === "none" ? undefined : algorithm }),
  },
  bound: {
    value: "BY",
    summary: "sender-constrain its tokens: dpop, mtls or none",
    members: boundMembers,
    clears: boundMembers,
    parse: parseBound,
  },
  "user-code": {
    value: "yes|no",
    summary: "whether it sends the approver's user code along",
    members: ["backchannel_user_code_parameter"],
    parse: (word) => ({ backchannel_user_code_parameter: parseBoolean(word) }),
  },
};

export const agentOptions: { readonly [name: string]: Option } = {
  name: {
    type: "string",
    value: "NAME",
    summary: "the name that approvers see on every card (default: the id)",
  },
  type: {
    type: "string",
    multiple: true,
    value: "TYPE",
    summary: "an action type or action scope that it may request; repeatable",
  },
  ...Object.fromEntries(
    Object.entries(optionSpecs).map(
      ([name, { value, summary }]) => [name, { type: "string", value, summary }] as const,
    ),
  ),
};

/** Returns the members that the options set. A member that an option clears is undefined; others are absent. */
export function toMetadata(args: Arguments, { actions }: Pick<Config, "actions">): Metadata {
  const members: { [member: string]: Json | undefined } = {};
  for (const [option, { clears = [] }] of Object.entries(optionSpecs))
    if (args.option(option) !== undefined) for (const member of clears) members[member] = undefined;
  for (const [option, { members: own, parse }] of Object.entries(optionSpecs)) {
    const value = args.option(option);
    if (value !== undefined) Object.assign(members, parse ? parse(value) : { [own[0]!]: value });
  }
  const types = args.optionList("type");
  return types.length > 0 ? { ...members, ...toTypeMetadata(types, actions) } : members;
}

/** Formats problems with the option that each belongs to. Metadata members in remedies become options, too. */
export function toOperatorError(problems: readonly MetadataProblem[]): OperatorError {
  const found = problems.map(({ member, message, remedy }) => ({
    what: `--${findOption(member) ?? "type"}: ${message}`,
    remedy: remedy.replaceAll(/\w+/g, (word) => {
      const option = findOption(word);
      return option ? `--${option}` : word;
    }),
  }));
  const [first, ...others] = found;
  if (!first || others.length > 0)
    return new OperatorError(found.map(({ what, remedy }) => `${what}; ${remedy}`).join("\n"));
  return new OperatorError(first.what, `${first.remedy[0]?.toUpperCase()}${first.remedy.slice(1)}.`);
}

function findOption(member: string): string | undefined {
  return Object.entries(optionSpecs).find(([, { members }]) => members.includes(member))?.[0];
}

export function parseName(name: string): string {
  if (name !== "" && inspectText(name, { maxCodePoints: 60 }) === undefined) return name;
  throw new OperatorError(
    "invalid name",
    "Use up to 60 visible characters: approvers read it on every card.",
  );
}

function createTlsNameOption(
  name: (typeof certificateNames)[number],
  value: string,
  summary: string,
): OptionSpec {
  return {
    value,
    summary: `tls_client_auth: ${summary}`,
    members: [`tls_client_auth_${name}`],
    clears: tlsMembers,
  };
}

function parseBound(bound: string): Metadata {
  if (bound === "dpop") return { dpop_bound_access_tokens: true };
  if (bound === "mtls") return { tls_client_certificate_bound_access_tokens: true };
  if (bound === "none") return {};
  throw new OperatorError(`--bound: unknown value "${bound}"`, "Use dpop, mtls or none.");
}

function parseBoolean(word: string): boolean {
  if (word !== "yes" && word !== "no")
    throw new OperatorError(`--user-code: "${word}" is neither yes nor no`, "Use yes or no.");
  return word === "yes";
}

function readJwks(file: string): Json {
  const example = 'A JWK Set looks like {"keys":[{"kty":"EC",...}]}.';
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    throw new OperatorError(`--jwks: the file ${file} cannot be read`, example);
  }
  const parsed = parseJson(text);
  if ("value" in parsed) return parsed.value;
  throw new OperatorError(
    `--jwks: ${file} cannot be read as JSON (${parsed.refused} at ${parsed.path})`,
    example,
  );
}
