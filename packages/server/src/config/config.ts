/**
 * Reads the configuration file: issuer, store, listeners, groups, APIs, action types and declared agents. Approvers, devices
 * and other agents are in the store. The file contains no secrets. All problems are reported together, each with file, line
 * and remedy; a file with a problem is not used. The configuration does not read the environment and is immutable.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type ActionPolicy, standardScopes } from "../domain/action/action-type.ts";
import { buildActionPolicy, freezeDeep } from "../domain/action/build.ts";
import type { RegistrationPolicy } from "../domain/client/registration.ts";
import type { OutboundPolicy } from "../domain/url/outbound-url.ts";
import { type DeclaredAgent, readAgents } from "./agent.ts";
import { type Path, parseConfigText } from "./document.ts";
import {
  checkListenSettings,
  type ListenSettings,
  listOfferedAuthMethods,
  type MtlsSettings,
  readListenSettings,
} from "./listening.ts";
import { checkLoginHintIssuers, type LoginHintIssuers, readLoginHintIssuers } from "./login-hint-issuer.ts";
import { checkPermission, type PermissionSettings, readPermission } from "./permission.ts";
import {
  actionSchema,
  actionTypePattern,
  fileSchema,
  type loggingLevels,
  type SectionProblem,
  scopeSchema,
  validate,
} from "./schema.ts";
import { suggestSpelling } from "./spelling.ts";
import { checkUrls, deriveLogOrigin, isPostgres } from "./url-check.ts";

export type Config = {
  /** The public URL of the server, without a trailing slash; never derived from a request. */
  readonly issuer: string;
  readonly listen: ListenSettings;
  /** Mutual TLS. Undefined: off, and no client certificate is requested. */
  readonly mtls?: MtlsSettings;
  /** `store`: a `postgres://` URL or an absolute path. `keyFile`: the root key, an absolute path. */
  readonly store: string;
  readonly keyFile: string;
  /** `origin` is the issuer's origin, the only one on which passkeys are accepted. */
  readonly passkeys: { readonly rpId: string; readonly rpName: string; readonly origin: string };
  /** The origin line of checkpoints, and the file to which each signed checkpoint is appended. */
  readonly log: { readonly origin: string; readonly checkpointFile?: string };
  /** E-mail addresses by group. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly apis: ReadonlyMap<string, { readonly audience: string }>;
  readonly channels: {
    readonly mail?: { readonly smtp: string; readonly from: string; readonly passwordFile?: string };
  };
  /** True if DPoP proofs need a server nonce (RFC 9449 §8). */
  readonly dpop: { readonly requireNonce: boolean };
  readonly limits: {
    readonly maxPendingPerAgent: number;
    readonly maxRequestsPerHour: number;
    readonly pollIntervalSeconds: number;
  };
  /** The log on standard error: minimum level, and whether requests are logged (access log). */
  readonly logging: { readonly level: (typeof loggingLevels)[number]; readonly accessLog: boolean };
  /** The metrics listener (Prometheus). Undefined: off. */
  readonly metrics?: { readonly host: string; readonly port: number };
  /** SSRF policy of calls to registered URLs, and additional certificate authorities. */
  readonly outbound: OutboundPolicy & { readonly caFile?: string };
  /** Whether agents that are registered for it must send the approver's user code (CIBA §7.1). */
  readonly userCodes: boolean;
  /** Relations between agents and approvers, and the external permission backend. */
  readonly permission: PermissionSettings;
  /** Whether agents can register themselves with an initial access token (RFC 7591). */
  readonly registration: { readonly enabled: boolean };
  /** Declared agents by id. Reconciled into the store at the start; not changed by commands or registration. */
  readonly agents: ReadonlyMap<string, DeclaredAgent>;
  /** Issuers of `login_hint_token`, by `iss`. */
  readonly loginHintIssuers: LoginHintIssuers;
  /** By action type. A scope that is declared as an action is under its name, with `scope` set. */
  readonly actions: ReadonlyMap<string, ActionPolicy>;
};

export type ConfigProblem = {
  readonly file: string;
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
  /** Such as "actions.refund.bound[0]"; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
};
export type ConfigProblems = { readonly problems: readonly ConfigProblem[] };

/** Loads the file. Returns problems also if the file cannot be read. */
export function loadConfig(file: string): { readonly config: Config } | ConfigProblems {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const message = code === "ENOENT" ? "the file does not exist" : `the file cannot be read (${code})`;
    const remedy = "run countersign init to write one, or name another file";
    return { problems: [{ file, line: 1, column: 1, path: "", message, remedy }] };
  }
  return parseConfig(text, file);
}

/** Parses the text. `file` is used in problems and as the base of relative paths. */
export function parseConfig(text: string, file: string): { readonly config: Config } | ConfigProblems {
  const document = parseConfigText(text);
  if ("problems" in document)
    return { problems: document.problems.map((problem) => ({ file, path: "", ...problem })) };
  const sectionProblems: SectionProblem[] = [];
  const addProblem = (problem: SectionProblem) => sectionProblems.push(problem);
  const sections = validate(fileSchema, document.value, [], addProblem);
  if (sections) {
    checkUrls(sections, addProblem);
    checkListenSettings(sections, addProblem);
    checkLoginHintIssuers(sections.login_hint_issuers, toOutboundPolicy(sections.outbound), addProblem);
  }
  const actions = readActions(document.value, addProblem);
  const baseDir = dirname(resolve(file));
  if (sections) checkPermission(sections, new Map(actions), addProblem);
  const agents = sections
    ? readAgents(sections, buildRegistrationPolicy(sections, new Map(actions)), baseDir, addProblem)
    : [];
  if (!sections || sectionProblems.length > 0) {
    const problems = sectionProblems.map(({ path, message, remedy }) => {
      return { file, ...document.locate(path), path: formatPath(path), message, remedy };
    });
    return { problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
  }

  const { issuer, passkeys, log, channels, limits, outbound } = sections;
  const { mail } = channels;
  const config: Config = {
    issuer,
    ...readListenSettings(sections, (path) => resolve(baseDir, path)),
    store: isPostgres(sections.store) ? sections.store : resolve(baseDir, sections.store),
    keyFile: resolve(baseDir, sections.key_file),
    passkeys: { rpId: passkeys.rp_id, rpName: passkeys.rp_name, origin: new URL(issuer).origin },
    log: {
      origin: log.origin ?? deriveLogOrigin(issuer),
      ...(log.checkpoint_file !== undefined && { checkpointFile: resolve(baseDir, log.checkpoint_file) }),
    },
    groups: freezeMap(Object.entries(sections.groups)),
    apis: freezeMap(Object.entries(sections.apis)),
    channels: mail
      ? {
          mail: {
            smtp: mail.smtp,
            from: mail.from,
            ...(mail.password_file !== undefined && { passwordFile: resolve(baseDir, mail.password_file) }),
          },
        }
      : {},
    dpop: { requireNonce: sections.dpop.require_nonce },
    limits: {
      maxPendingPerAgent: limits.max_pending_per_agent,
      maxRequestsPerHour: limits.max_requests_per_hour,
      pollIntervalSeconds: limits.poll_interval,
    },
    logging: { level: sections.logging.level, accessLog: sections.logging.access_log },
    ...(sections.metrics && { metrics: { ...sections.metrics } }),
    outbound: {
      ...toOutboundPolicy(outbound),
      ...(outbound.ca_file !== undefined && { caFile: resolve(baseDir, outbound.ca_file) }),
    },
    userCodes: sections.user_codes,
    permission: readPermission(sections, baseDir),
    registration: { enabled: sections.registration.enabled },
    agents: freezeMap(agents),
    loginHintIssuers: freezeMap(readLoginHintIssuers(sections.login_hint_issuers, baseDir)),
    actions: freezeMap(actions),
  };
  return { config: freezeDeep(config) };
}

/** Returns the policy that agent registrations are checked against. */
export function toRegistrationPolicy({ actions, outbound, mtls }: Config): RegistrationPolicy {
  return { types: actions, outbound: outbound, methods: listOfferedAuthMethods(mtls) };
}

/** The same, while the file is read. */
function buildRegistrationPolicy(
  { outbound, mtls }: ConfigSections,
  types: RegistrationPolicy["types"],
): RegistrationPolicy {
  const certificates = mtls && { authoritiesFile: mtls.authorities, proxy: mtls.proxy };
  return { types, outbound: toOutboundPolicy(outbound), methods: listOfferedAuthMethods(certificates) };
}

function toOutboundPolicy({ allow_private, allow_http }: ConfigSections["outbound"]): OutboundPolicy {
  return { allowPrivate: allow_private, allowHttp: allow_http };
}

/** Formats a problem as one line: position, path, message, remedy. */
export function formatProblem({ file, line, column, path, message, remedy }: ConfigProblem): string {
  return `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}; ${remedy}`;
}

/** Reads each action and scope separately, and checks its references to other sections. */
function readActions(file: unknown, addProblem: (problem: SectionProblem) => void): [string, ActionPolicy][] {
  const groups = Object.keys(getMember(file, "groups"));
  const apis = getMember(file, "apis");
  const types = Object.keys(getMember(file, "actions"));
  const policies: [string, ActionPolicy][] = [];
  const checkName = (path: Path, type: string) => {
    if (!actionTypePattern.test(type))
      addProblem({
        path,
        message: `${JSON.stringify(type)} is not a valid action name`,
        remedy: "begin with a letter, then letters, digits and . _ : / -, 128 at most",
      });
  };
  const addPolicy = (
    path: Path,
    { api, approvers }: ActionSettings,
    build: (audience: string) => ReturnType<typeof buildActionPolicy>,
  ) => {
    if (!Object.hasOwn(apis, api))
      addProblem({
        path: [...path, "api"],
        message: `no API is called ${api}`,
        remedy: suggestSpelling(api, Object.keys(apis)),
      });
    const checkGroup = (group: string, at: Path) => {
      if (!groups.includes(group))
        addProblem({
          path: [...path, "approvers", ...at],
          message: `no group is called ${group}`,
          remedy: suggestSpelling(group, groups),
        });
    };
    for (const [i, group] of approvers.groups.entries()) checkGroup(group, ["groups", i]);
    for (const [value, owner] of Object.entries(approvers.owner?.of ?? {}))
      if (!owner.includes("@")) checkGroup(owner, ["owner", "of", value]);
    const audience = getMember(apis, api).audience;
    const result = build(typeof audience === "string" ? audience : "");
    if ("rule" in result) policies.push([result.rule.definition.type, result.rule]);
    else for (const problem of result.problems) addProblem({ ...problem, path: [...path, ...problem.path] });
  };

  const combinations = new Map<string, Combination>();
  for (const [type, value] of Object.entries(getMember(file, "actions"))) {
    const path = ["actions", type];
    checkName(path, type);
    const action = validate(actionSchema, value, path, addProblem);
    if (!action) continue;
    const {
      schema,
      bound,
      advisory,
      deny_by: denyBy,
      display,
      combinable_with: combinableWith = [],
    } = action;
    combinations.set(type, { api: action.api, combinableWith });
    const fields = {
      ...{ schema, bound, advisory, denyBy, combinableWith },
      ...{ sentence: display.sentence, rows: display.rows },
    };
    addPolicy(path, action, (audience) =>
      buildActionPolicy({ type, audience, ...fields, ...toPolicySettings(action) }),
    );
  }
  checkCombinations(types, combinations, addProblem);
  for (const [scope, value] of Object.entries(getMember(file, "scopes"))) {
    const path = ["scopes", scope];
    checkName(path, scope);
    if (types.includes(scope))
      addProblem({
        path,
        message: `${scope} is already the name of an action`,
        remedy: "rename one of the two",
      });
    if (standardScopes.includes(scope))
      addProblem({
        path,
        message: `${scope} is reserved by OpenID Connect`,
        remedy: "choose another name",
      });
    const action = validate(scopeSchema, value, path, addProblem);
    if (!action) continue;
    const { sentence } = action;
    const fields = { scope, schema: emptySchema, bound: [], sentence, rows: [] };
    addPolicy(path, action, (audience) =>
      buildActionPolicy({ type: scope, audience, ...fields, ...toPolicySettings(action) }),
    );
  }
  return policies;
}

/** Checks `combinable_with`: which types may be in one request with this type. */
type Combination = { readonly api: string; readonly combinableWith: readonly string[] };

/** Each entry must name an action of the same API, which must name this one in turn. */
function checkCombinations(
  types: readonly string[],
  combinations: ReadonlyMap<string, Combination>,
  addProblem: (problem: SectionProblem) => void,
): void {
  for (const [type, { api, combinableWith }] of combinations)
    for (const [i, name] of combinableWith.entries()) {
      const path = ["actions", type, "combinable_with", i];
      const other = combinations.get(name);
      if (!types.includes(name))
        addProblem({ path, message: `no action is called ${name}`, remedy: suggestSpelling(name, types) });
      else if (combinableWith.indexOf(name) < i)
        addProblem({ path, message: `${name} is listed twice`, remedy: "remove one" });
      else if (other && other.api !== api)
        addProblem({
          path,
          message: `${name} belongs to another API; combined actions must share one API`,
          remedy: "remove it: request the actions separately",
        });
      else if (other && !other.combinableWith.includes(type))
        addProblem({
          path,
          message: `${name} does not name ${type} in turn`,
          remedy: `add ${type} to combinable_with of ${name}, or remove it here`,
        });
    }
}

type ConfigSections = ReturnType<typeof fileSchema.parse>;
type ActionSettings = Omit<NonNullable<ReturnType<typeof scopeSchema.parse>>, "sentence">;

const emptySchema = { type: "object", additionalProperties: false, properties: {} } as const;

function toPolicySettings({ reversibility, approvers, level, lifetime, token_lifetime }: ActionSettings) {
  return { reversibility, approvers, level, lifetimeSeconds: lifetime, tokenLifetimeSeconds: token_lifetime };
}

function getMember(value: unknown, key: string): { readonly [key: string]: unknown } {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return {};
  const found = (value as { readonly [key: string]: unknown })[key];
  return typeof found === "object" && found !== null ? (found as { readonly [key: string]: unknown }) : {};
}

function formatPath(path: Path): string {
  return path
    .map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${step}`))
    .join("");
}

/** A read-only map. Changing it throws. */
function freezeMap<V>(entries: readonly (readonly [string, V])[]): ReadonlyMap<string, V> {
  const map = new Map(entries.map(([key, value]) => [key, freezeDeep(value)]));
  const refuse = () => {
    throw new TypeError("the configuration is immutable");
  };
  return Object.freeze(Object.assign(map, { set: refuse, delete: refuse, clear: refuse }));
}
