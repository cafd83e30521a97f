/** The `permission` section: relations, and the external permission backend. */
import { resolve } from "node:path";
import type { ActionPolicy } from "../domain/action/action-type.ts";
import type { AgentRelation, ApproverRelation, Relations } from "../domain/policy/relation.ts";
import type { Path } from "./document.ts";
import type { fileSchema, SectionProblem } from "./schema.ts";
import { suggestSpelling } from "./spelling.ts";

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

type ConfigSections = ReturnType<typeof fileSchema.parse>;
type AddProblem = (problem: SectionProblem) => void;

/** Placeholders of OpenFGA templates, besides `bound.<field>`. */
const placeholders = ["agent", "type", "api", "approver", "email"];

/** Checks the section against the rest of the file. `actions` holds the actions without problems. */
export function checkPermission(
  { permission, groups, actions: declared, scopes }: ConfigSections,
  actions: ReadonlyMap<string, ActionPolicy>,
  addProblem: AddProblem,
): void {
  const { relations, authzen, openfga } = permission;
  const knownTypes = [...Object.keys(declared), ...Object.keys(scopes)];
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
      if (!knownTypes.includes(type))
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
  for (const type of knownTypes)
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
      if (!Object.hasOwn(groups, group))
        addProblem({
          path,
          message: `no group is called ${group}`,
          remedy: suggestSpelling(group, Object.keys(groups)),
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
        const policy = actions.get(type);
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

export function readPermission({ permission }: ConfigSections, baseDir: string): PermissionSettings {
  const { relations, authzen, openfga, timeout: seconds } = permission;
  const resolveTokenFile = (file: string | undefined) =>
    file !== undefined && { tokenFile: resolve(baseDir, file) };
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
    : `this is no ${key}`;
}

function trimTrailingSlashes(url: string): string {
  return url.replace(/\/+$/, "");
}
