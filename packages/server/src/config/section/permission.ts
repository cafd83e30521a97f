/** The `permission` section: relations, and the external permission backend. */
import { z } from "zod";
import type { AgentRelation, ApproverRelation, Relations } from "../../domain/policy/relation.ts";
import type { Path } from "../document.ts";
import { defineInteger, defineObject, defineText, email, file, flag, name } from "../field.ts";
import { definePolicy, type SectionContext } from "../section.ts";
import { suggestSpelling } from "../spelling.ts";
import { actionsSection } from "./actions.ts";
import { groupsSection } from "./groups.ts";

/** One relation to check in OpenFGA, with placeholders in braces. */
export type OpenFgaCheck = { readonly user: string; readonly relation: string; readonly object: string };

export type PermissionBackendSettings =
  | { readonly kind: "authzen"; readonly url: string; readonly tokenFile?: string; readonly batch: boolean }
  | {
      readonly kind: "openfga";
      readonly url: string;
      readonly storeId: string;
      readonly modelId?: string;
      readonly tokenFile?: string;
      readonly checks: readonly OpenFgaCheck[];
    };

export type PermissionSettings = {
  readonly relations?: Relations;
  /** The external backend. On a timeout, the agent gets `temporarily_unavailable`. */
  readonly backend?: PermissionBackendSettings;
  readonly timeLimitMs: number;
};

/** Placeholders of OpenFGA templates, besides `bound.<field>`. */
const placeholders = ["agent", "type", "api", "approver", "email"];

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

const permissionSchema = defineObject({
  // Seconds. Enough for a network call, and short because the agent waits for it.
  timeout: defineInteger(1, 10, "a limit in seconds").default(2),
  relations: defineObject({
    agents: z
      .array(
        defineObject({
          ...relationScope,
          agents: z
            .array(name)
            .min(1, "the list is empty\nname at least one agent, or leave agents out for all of them")
            .optional(),
          of: defineObject(people).optional(),
        }),
      )
      .optional(),
    approvers: z.array(defineObject({ ...relationScope, ...people })).optional(),
  }).optional(),
  authzen: defineObject({
    url: z.string(),
    token_file: file.optional(),
    // True: one batch call. False: one call per approver and part.
    batch: flag.default(false),
  }).optional(),
  openfga: defineObject({
    url: z.string(),
    store_id: defineText(
      /^[0-9A-HJKMNP-TV-Z]{26}$/,
      "the id of a store",
      "write it as OpenFGA shows it, 26 characters",
    ),
    model_id: defineText(
      /^[0-9A-HJKMNP-TV-Z]{26}$/,
      "the id of an authorization model",
      "write it as OpenFGA shows it, 26 characters",
    ).optional(),
    token_file: file.optional(),
    checks: z
      .array(defineObject({ user: z.string(), relation: z.string(), object: z.string() }))
      .min(1, "the list is empty, so everything would be allowed\nadd a check, such as user: agent:{agent}"),
  }).optional(),
});

type PermissionValues = z.output<typeof permissionSchema>;

export const permissionSection = definePolicy({
  shape: { permission: permissionSchema.prefault({}) },
  read({ permission }, context): { readonly permission: PermissionSettings } {
    checkPermission(permission, context);
    return { permission: readPermission(permission, context.resolvePath) };
  },
  sample:
    () => `# Optional: further rules about which agents may ask whom for what; an AuthZEN or OpenFGA server can be asked, too. See
# docs/operations/people-and-agents.md.
# permission:
#   relations:
#     agents: [{ agents: [refund-agent], types: [refund], of: { groups: [finance] } }]
`,
});

/** Checks the section against the rest of the file. */
function checkPermission(permission: PermissionValues, { use, addProblem }: SectionContext): void {
  const { relations, authzen, openfga } = permission;
  const groups = use(groupsSection)?.settings.groups;
  const declared = use(actionsSection);
  const knownTypes = declared && [
    ...Object.keys(declared.values.actions),
    ...Object.keys(declared.values.scopes),
  ];
  const entries: readonly (readonly [Path, AgentRelation | ApproverRelation])[] = [
    ...(relations?.agents ?? []).map((relation, at) => [["agents", at], relation] as const),
    ...(relations?.approvers ?? []).map((relation, at) => [["approvers", at], relation] as const),
  ];
  for (const [at, relation] of entries) {
    const path = ["permission", "relations", ...at];
    checkGroups(
      "of" in relation ? (relation.of?.groups ?? []) : "groups" in relation ? relation.groups : [],
      path,
    );
    for (const [i, type] of (relation.types ?? []).entries())
      if (knownTypes && !knownTypes.includes(type))
        addProblem({
          path: [...path, "types", i],
          message: `no action is called ${type}`,
          remedy: suggestSpelling(type, knownTypes),
        });
    checkWhere(relation, path);
    if ("people" in relation && relation.people.length + relation.groups.length === 0)
      addProblem({
        path,
        message: "the relation names no people and no groups",
        remedy: "name people or groups",
      });
  }
  if (authzen && openfga)
    addProblem({
      path: ["permission", "openfga"],
      message: "authzen and openfga exclude each other",
      remedy: "keep one of the two",
    });
  if (authzen) checkUrl(authzen.url, ["permission", "authzen", "url"]);
  if (!openfga) return;
  checkUrl(openfga.url, ["permission", "openfga", "url"]);
  for (const [i, check] of openfga.checks.entries())
    for (const key of ["user", "relation", "object"] as const) {
      const problem = findTemplateProblem(key, check[key]);
      if (problem)
        addProblem({
          path: ["permission", "openfga", "checks", i, key],
          message: problem,
          remedy: "write it as in user: agent:{agent}, relation: can_ask, object: action:{type}",
        });
    }
  for (const type of knownTypes ?? [])
    if (
      !openFgaNamePattern.test(type) &&
      openfga.checks.some((check) => JSON.stringify(check).includes("{type}"))
    )
      addProblem({
        path: ["permission", "openfga", "checks"],
        message: `the action name ${type} is not a valid OpenFGA object id`,
        remedy: "rename the action, without a colon",
      });

  function checkGroups(names: readonly string[], path: Path): void {
    for (const group of names)
      if (groups && !groups.has(group))
        addProblem({
          path,
          message: `no group is called ${group}`,
          remedy: suggestSpelling(group, [...groups.keys()]),
        });
  }
  function checkWhere({ types, where }: AgentRelation | ApproverRelation, path: Path): void {
    for (const field of Object.keys(where)) {
      const at = [...path, "where", field];
      if (types === undefined) {
        addProblem({ path: at, message: "fields need types", remedy: "add types" });
        continue;
      }
      for (const type of types) {
        const policy = declared?.settings.actions.get(type);
        if (policy && !policy.definition.bound.includes(field))
          addProblem({
            path: at,
            message: `${field} is not a bound field of ${type}`,
            remedy: suggestSpelling(field, policy.definition.bound),
          });
      }
    }
  }
  function checkUrl(url: string, path: Path): void {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (!parsed || !/^https?:$/.test(parsed.protocol) || /[?#]/.test(url))
      addProblem({
        path,
        message: "invalid server URL",
        remedy: "write it as https://pdp.example",
      });
    else if (parsed.username !== "" || parsed.password !== "")
      addProblem({
        path,
        message: "the URL contains a secret, which must not be in this file",
        remedy: "write the token to a separate file and set token_file",
      });
  }
}

function readPermission(
  permission: PermissionValues,
  resolvePath: SectionContext["resolvePath"],
): PermissionSettings {
  const { relations, authzen, openfga, timeout: seconds } = permission;
  const resolveTokenFile = (file: string | undefined) =>
    file !== undefined && { tokenFile: resolvePath(file) };
  const backend: PermissionBackendSettings | undefined = authzen
    ? {
        kind: "authzen",
        url: trimTrailingSlashes(authzen.url),
        batch: authzen.batch,
        ...resolveTokenFile(authzen.token_file),
      }
    : openfga && {
        kind: "openfga",
        url: trimTrailingSlashes(openfga.url),
        storeId: openfga.store_id,
        checks: openfga.checks,
        ...(openfga.model_id !== undefined && { modelId: openfga.model_id }),
        ...resolveTokenFile(openfga.token_file),
      };
  return {
    timeLimitMs: seconds * 1000,
    ...(relations && { relations: relations as Relations }),
    ...(backend && { backend }),
  };
}

/** Characters allowed in OpenFGA ids, so that no value can denote another object, a userset or a wildcard. */
export const openFgaNamePattern = /^[A-Za-z0-9._@+|/=-]{1,200}$/;

function findTemplateProblem(key: keyof OpenFgaCheck, template: string): string | undefined {
  const unknownPlaceholder = [...template.matchAll(/\{([^}]*)\}/g)].find(
    ([, name = ""]) => !placeholders.includes(name) && !/^bound\.[A-Za-z0-9_]+$/.test(name),
  );
  if (unknownPlaceholder)
    return `unknown placeholder ${unknownPlaceholder[0]}: known are {${placeholders.join("}, {")}} and {bound.<field>}`;
  const plain = template.replaceAll(/\{[^}]*\}/g, "x");
  if (key === "relation") return /^[^:#@*\s]{1,50}$/.test(plain) ? undefined : "invalid relation";
  return /^[^:#@*\s]+:[^:#*\s]+(#[^:#@*\s]+)?$/.test(plain) && (key === "user" || !plain.includes("#"))
    ? undefined
    : `this is not a valid ${key}`;
}

function trimTrailingSlashes(url: string): string {
  return url.replace(/\/+$/, "");
}
