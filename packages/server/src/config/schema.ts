/**
 * The schemas of `countersign.yaml`, with the keys of the file, and their error messages. The first line of a message is the
 * problem, the second the remedy.
 */
import { isIP } from "node:net";
import { authenticationLevels, type JsonObject, reversibilities } from "@countersign/protocol";
import { z } from "zod";
import { formats } from "../domain/action/action-type.ts";
import { registrationMembers } from "../domain/client/registration.ts";
import { isCidr } from "../domain/url/ip-address.ts";
import type { Path } from "./document.ts";
import { suggestSpelling } from "./spelling.ts";

/** An object with these keys and no others. */
function section<S extends z.core.$ZodLooseShape>(shape: S) {
  return z.strictObject(shape, {
    // Passes the known keys to `explain`, which suggests a spelling.
    error: (issue) => (issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : undefined),
  });
}

function text(pattern: RegExp, what: string, remedy: string) {
  return z.string().regex(pattern, `this is not ${what}\n${remedy}`);
}

function integer(min: number, max: number, what: string) {
  const message = `this is not ${what}\nuse a whole number from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
}

/** Pattern of e-mail addresses, also used by the CLI. */
export const emailPattern = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;
/** Pattern of names that an operator chooses, also used by the CLI. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const name = text(namePattern, "a name", "use letters, digits, dots, underscores and hyphens, 64 at most");
const email = text(emailPattern, "an e-mail address", "write it as name@example.com");
const file = text(/^[^\0]+$/, "a file", "write a path, relative to this file or absolute");
const flag = z.boolean("this is neither true nor false\nwrite true or false");
const sentence = z.string();
const seconds = z.number();

const approvers = section({
  people: z.array(email).default([]),
  groups: z.array(z.string()).default([]),
  owner: section({
    field: z.string(),
    of: z.record(
      z.string(),
      z.string().refine((owner) => emailPattern.test(owner) || namePattern.test(owner), {
        error:
          "this is neither an e-mail address nor a group\nwrite name@example.com, or the name of a group",
      }),
    ),
  }).optional(),
});

const actionSettings = {
  api: z.string(),
  reversibility: z.enum(reversibilities).optional(),
  approvers,
  level: z.enum(authenticationLevels).optional(),
  lifetime: section({ default: seconds, max: seconds }).optional(),
  token_lifetime: seconds.optional(),
};

const jsonSchema = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "this is not a JSON Schema\nwrite an object: type, additionalProperties, required, properties",
);

const fields = z.array(z.string());

export const actionSchema = section({
  ...actionSettings,
  schema: jsonSchema,
  bound: fields,
  advisory: fields.optional(),
  deny_by: fields.optional(),
  combinable_with: fields.optional(),
  display: section({
    sentence,
    rows: z.array(
      section({
        label: z.string(),
        field: z.string(),
        // Default: shown as sent.
        as: z.enum(formats).default("text"),
        currency: z.string().optional(),
        unit: z.string().optional(),
      }),
    ),
  }),
});

export const scopeSchema = section({ ...actionSettings, sentence });

/** An agent: client metadata with the names of the specifications, and keys that only an operator may set. */
export const agentSchema = section({
  name: z.string().optional(),
  types: z.array(z.string()).min(1, "the agent has no action types\nname at least one"),
  secret_sha256: text(
    /^[0-9a-f]{64}$/,
    "the SHA-256 of a secret",
    "countersign agent hash-secret --new makes a secret and prints it",
  ).optional(),
  jwks_file: file.optional(),
  // Parsed in `domain/client/registration.ts`, as for every registration.
  ...Object.fromEntries(registrationMembers.map((member) => [member, z.unknown().optional()] as const)),
});

/** RFC 9396 §2 leaves the name open; this one fits an error message, a log line and a command line. */
export const actionTypePattern = /^[A-Za-z][A-Za-z0-9._:/-]{0,127}$/;

const host = z.string().min(1, "this is empty\nwrite an address, such as 127.0.0.1").default("127.0.0.1");
/** PEM files: the certificate with its chain, and the private key. */
const tls = section({ certificate: file, key: file }).optional();

/** Mutual TLS: how client certificates reach the server. */
const mtls = section({
  url: z.string(),
  listen: section({ host, port: integer(0, 65_535, "a port"), tls }).optional(),
  authorities: file.optional(),
  proxy: section({
    header: text(
      /^[A-Za-z0-9-]{1,64}$/,
      "the name of a header",
      "write it as client-cert (RFC 9440)",
    ).default("client-cert"),
    addresses: z
      .array(
        z.string().refine((address) => isIP(address) !== 0 || isCidr(address), {
          error: "this is no address, nor a range of them\nwrite it as 10.1.0.5 or 10.1.0.0/16",
        }),
      )
      .min(
        1,
        "the list is empty, so no proxy would be trusted\nname the addresses that the proxy connects from",
      ),
    verified: flag,
  }).optional(),
});

/** The actions that a relation applies to. */
const relationScope = {
  types: z
    .array(z.string())
    .min(1, "the list is empty\nname at least one type, or leave types out for all of them")
    .optional(),
  where: z
    .record(
      z.string(),
      z
        .array(z.union([z.string(), z.int(), z.boolean()]))
        .min(1, "the list is empty\nname at least one value"),
    )
    .default({}),
};
const people = { people: z.array(email).default([]), groups: z.array(z.string()).default([]) };

const permission = section({
  // Seconds. Enough for a network call, and short because the agent waits for it.
  timeout: integer(1, 10, "a limit in seconds").default(2),
  relations: section({
    agents: z
      .array(
        section({
          ...relationScope,
          agents: z
            .array(name)
            .min(1, "the list is empty\nname at least one agent, or leave agents out for all of them")
            .optional(),
          of: section(people).optional(),
        }),
      )
      .optional(),
    approvers: z.array(section({ ...relationScope, ...people })).optional(),
  }).optional(),
  authzen: section({
    url: z.string(),
    token_file: file.optional(),
    // True: one batch call. False: one call per approver and part.
    batch: flag.default(false),
  }).optional(),
  openfga: section({
    url: z.string(),
    store_id: text(
      /^[0-9A-HJKMNP-TV-Z]{26}$/,
      "the id of a store",
      "write it as OpenFGA shows it, 26 characters",
    ),
    model_id: text(
      /^[0-9A-HJKMNP-TV-Z]{26}$/,
      "the id of an authorization model",
      "write it as OpenFGA shows it, 26 characters",
    ).optional(),
    token_file: file.optional(),
    checks: z
      .array(section({ user: z.string(), relation: z.string(), object: z.string() }))
      .min(1, "the list is empty, so everything would be allowed\nadd a check, such as user: agent:{agent}"),
  }).optional(),
});

/** Minimum level of log lines. */
export const loggingLevels = ["info", "warn", "error"] as const;

/** All sections except the actions, which are parsed one by one so that a problem in one does not hide those of another. */
export const fileSchema = section({
  issuer: z.string(),
  // Default: loopback only.
  listen: section({
    host,
    port: integer(0, 65_535, "a port").default(4400),
    tls,
  }).prefault({}),
  mtls: mtls.optional(),
  // Default: in a separate directory beside the configuration, which a backup can include.
  store: file
    .refine((store) => !/^postgres(ql)?:\/\/[^/]*:[^/@]*@/.test(store), {
      error:
        "the URL contains a password\nremove it and set PGPASSWORD, or set the whole URL in COUNTERSIGN_STORE",
    })
    .default("./countersign-data/countersign.db"),
  key_file: file.default("./countersign-data/countersign.key"),
  passkeys: section({
    rp_id: z.string(),
    // Shown by the browser when a passkey is created.
    rp_name: text(/^[^\p{C}]{1,64}$/u, "a name to show", "write up to 64 visible characters").default(
      "Countersign",
    ),
  }),
  log: section({
    origin: text(
      /^[A-Za-z0-9][A-Za-z0-9.:/_-]{0,127}$/,
      "the origin of a log",
      "write a name without spaces or a scheme, such as countersign.example/log (C2SP tlog-checkpoint)",
    ).optional(),
    checkpoint_file: file.optional(),
  }).prefault({}),
  groups: z
    .record(name, z.array(email).min(1, "the group is empty\nadd a person, or remove the group"))
    .default({}),
  apis: z.record(name, section({ audience: z.string() })).default({}),
  channels: section({
    mail: section({
      smtp: z.string(),
      from: z
        .string()
        .refine((from) => emailPattern.test(/^[^<>\p{C}"]+ <([^<>]+)>$/u.exec(from)?.[1] ?? from), {
          error: 'this is not a sender\nwrite name@example.com, or "Countersign <name@example.com>"',
        }),
      password_file: file.optional(),
    }).optional(),
  }).prefault({}),
  dpop: section({
    // Default false: a client without a nonce needs a second token request, which may cost it one poll interval.
    require_nonce: z.boolean().default(false),
  }).prefault({}),
  limits: section({
    // An agent with more pending requests is probably in a loop.
    max_pending_per_agent: integer(1, 1000, "a limit of requests").default(20),
    // Default one a minute: with more, approvers stop reading what they approve.
    max_requests_per_hour: integer(1, 100_000, "a limit of requests").default(60),
    // Seconds. 5 is the default interval of CIBA §7.3.
    poll_interval: integer(1, 60, "an interval in seconds").default(5),
  }).prefault({}),
  logging: section({
    // info: one line per change, and none for a poll that changes nothing.
    level: z.enum(loggingLevels).default("info"),
    // Default false: a proxy usually logs requests already, and most are polls.
    access_log: flag.default(false),
  }).prefault({}),
  metrics: section({
    // Metrics have a separate listener, by default on loopback only.
    host: z.string().min(1, "this is empty\nwrite an address, such as 127.0.0.1").default("127.0.0.1"),
    port: integer(0, 65_535, "a port"),
  }).optional(),
  outbound: section({
    allow_private: z
      .array(
        z.string().refine(isCidr, {
          error: "this is not a range of addresses\nwrite it as 10.1.0.0/16, or fd00:1::/32",
        }),
      )
      .default([]),
    allow_http: z.boolean("this is neither true nor false\nwrite true, or leave it out").default(false),
    ca_file: file.optional(),
  }).prefault({}),
  user_codes: z.boolean().default(false),
  permission: permission.prefault({}),
  registration: section({
    // Registration always requires an initial access token; if false, the endpoint does not exist.
    enabled: z.boolean().default(false),
  }).prefault({}),
  // Agents can also be added with `countersign agent add`, or register themselves.
  agents: z.record(name, z.unknown()).default({}),
  login_hint_issuers: z
    .record(z.string(), section({ jwks_file: file.optional(), jwks_uri: z.string().optional() }))
    .default({}),
  actions: z.record(z.string(), z.unknown()).default({}),
  scopes: z.record(z.string(), z.unknown()).default({}),
});

export type SectionProblem = { readonly path: Path; readonly message: string; readonly remedy: string };

/** Parses a section. Reports every problem; returns undefined if there is one. */
export function validate<T>(
  schema: z.ZodType<T>,
  value: unknown,
  at: Path,
  addProblem: (problem: SectionProblem) => void,
): T | undefined {
  const result = schema.safeParse(value, { error: describeIssue });
  if (result.success) return result.data;
  for (const issue of result.error.issues) for (const problem of toProblems(issue, at)) addProblem(problem);
  return undefined;
}

function toProblems(issue: z.core.$ZodIssue, at: Path): SectionProblem[] {
  const path = [...at, ...(issue.path as Path)];
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const known = issue.message.split(" ");
      const renamed = renamedKeys.get(key);
      const remedy =
        renamed !== undefined && known.includes(renamed)
          ? `${key} is now called ${renamed}`
          : suggestSpelling(key, known);
      return { path: [...path, key], message: `unknown key ${key}`, remedy };
    });
  // The reason for an invalid key is in the nested issue.
  const message = issue.code === "invalid_key" ? issue.issues[0]?.message : issue.message;
  const [what = "", remedy = "compare with the commented file that countersign init writes"] = (
    message ?? ""
  ).split("\n");
  return [{ path, message: what, remedy }];
}

/** New names of keys that were renamed before the first release. */
const renamedKeys: ReadonlyMap<string, string> = new Map([
  ["subject", "deny_by"],
  ["together_with", "combinable_with"],
  ["time_limit", "timeout"],
  ["requests", "access_log"],
  ["waiting_per_agent", "max_pending_per_agent"],
  ["asks_per_hour", "max_requests_per_hour"],
]);

/** Messages for issues without one in the schemas above. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  if (issue.code === "invalid_type") {
    const key = String(issue.path?.at(-1) ?? "the file");
    const expected = typeLabels[issue.expected] ?? issue.expected;
    if (input === undefined) return `${key} is missing\nadd ${key}: with ${expected}`;
    return `${input === null ? "this is empty" : "this has the wrong form"}\nwrite ${expected}`;
  }
  if (issue.code === "invalid_value") return `invalid value\nwrite ${issue.values.join(", or ")}`;
  return undefined;
}

const typeLabels: { readonly [expected: string]: string } = {
  string: "text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "keys and values",
  record: "names with values",
};
