/** The permission check as the configuration says it: relations, or who is asked outside this server. */
import { resolve } from "node:path";
import type { ActionPolicy } from "../domain/action/action-type.ts";
import type { AgentRelation, ApproverRelation, Relations } from "../domain/policy/relation.ts";
import type { Path } from "./document.ts";
import type { Finding, fileSchema } from "./schema.ts";
import { didYouMean } from "./spelling.ts";

/** One relation to be checked in OpenFGA, with placeholders in braces. */
export type OpenFgaCheck = { readonly user: string; readonly relation: string; readonly object: string };

export type OutboundSettings =
  | { readonly by: "authzen"; readonly url: string; readonly tokenFile?: string; readonly batch: boolean }
  | {
      readonly by: "openfga";
      readonly url: string;
      readonly storeId: string;
      readonly modelId?: string;
      readonly tokenFile?: string;
      readonly checks: readonly OpenFgaCheck[];
    };

export type PermissionSettings = {
  readonly relations?: Relations;
  /** Asked within the time limit, or it is a no for now. */
  readonly outside?: OutboundSettings;
  readonly timeLimitMs: number;
};

type Sections = ReturnType<typeof fileSchema.parse>;
type Say = (finding: Finding) => void;

/** What a template of OpenFGA may have in braces; `bound.<field>` beside these. */
const placeholders = ["agent", "type", "api", "approver", "email"];

/** Held together with the rest of the file; `actions` are those without problems of their own. */
export function checkPermission(
  { permission, groups, actions: declared, scopes }: Sections,
  actions: ReadonlyMap<string, ActionPolicy>,
  say: Say,
): void {
  const { relations, authzen, openfga } = permission;
  const known = [...Object.keys(declared), ...Object.keys(scopes)];
  const lines: readonly (readonly [Path, AgentRelation | ApproverRelation])[] = [
    ...(relations?.agents ?? []).map((line, at) => [["agents", at], line] as const),
    ...(relations?.approvers ?? []).map((line, at) => [["approvers", at], line] as const),
  ];
  for (const [at, line] of lines) {
    const path = ["permission", "relations", ...at];
    checkGroups("of" in line ? (line.of?.groups ?? []) : "groups" in line ? line.groups : [], path);
    for (const [i, type] of (line.types ?? []).entries())
      if (!known.includes(type))
        say({
          path: [...path, "types", i],
          message: `no action is called ${type}`,
          remedy: didYouMean(type, known),
        });
    checkWhere(line, path);
    if ("people" in line && line.people.length + line.groups.length === 0)
      say({ path, message: "this line is about nobody", remedy: "name people or groups" });
  }
  if (authzen && openfga)
    say({
      path: ["permission", "openfga"],
      message: "authzen is asked already",
      remedy: "keep one of the two",
    });
  if (authzen) checkUrl(authzen.url, ["permission", "authzen", "url"]);
  if (!openfga) return;
  checkUrl(openfga.url, ["permission", "openfga", "url"]);
  for (const [i, check] of openfga.checks.entries())
    for (const key of ["user", "relation", "object"] as const) {
      const why = templateFault(key, check[key]);
      if (why)
        say({
          path: ["permission", "openfga", "checks", i, key],
          message: why,
          remedy: "write it as in user: agent:{agent}, relation: can_ask, object: action:{type}",
        });
    }
  for (const type of known)
    if (!fgaName.test(type) && openfga.checks.some((check) => JSON.stringify(check).includes("{type}")))
      say({
        path: ["permission", "openfga", "checks"],
        message: `the action ${type} cannot be the name of an object in OpenFGA`,
        remedy: "rename the action, without a colon",
      });

  function checkGroups(chosen: readonly string[], path: Path): void {
    for (const group of chosen)
      if (!Object.hasOwn(groups, group))
        say({ path, message: `no group is called ${group}`, remedy: didYouMean(group, Object.keys(groups)) });
  }
  function checkWhere({ types, where }: AgentRelation | ApproverRelation, path: Path): void {
    for (const field of Object.keys(where)) {
      const at = [...path, "where", field];
      if (types === undefined) {
        say({ path: at, message: "fields are those of a type", remedy: "name types too" });
        continue;
      }
      for (const type of types) {
        const rule = actions.get(type);
        if (rule && !rule.definition.bound.includes(field))
          say({
            path: at,
            message: `${field} is no bound field of ${type}`,
            remedy: didYouMean(field, rule.definition.bound),
          });
      }
    }
  }
  function checkUrl(url: string, path: Path): void {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (!parsed || !/^https?:$/.test(parsed.protocol) || /[?#]/.test(url))
      say({ path, message: "this is not the URL of a server", remedy: "write it as https://pdp.example" });
    else if (parsed.username !== "" || parsed.password !== "")
      say({
        path,
        message: "a secret stands in a file that is meant to be reviewed",
        remedy: "put a token into a file of its own, named by token_file",
      });
  }
}

export function readPermission({ permission }: Sections, from: string): PermissionSettings {
  const { relations, authzen, openfga, timeout: seconds } = permission;
  const tokenIn = (file: string | undefined) => file !== undefined && { tokenFile: resolve(from, file) };
  const outside: OutboundSettings | undefined = authzen
    ? { by: "authzen", url: bare(authzen.url), batch: authzen.batch, ...tokenIn(authzen.token_file) }
    : openfga && {
        by: "openfga",
        url: bare(openfga.url),
        storeId: openfga.store_id,
        checks: openfga.checks,
        ...(openfga.model_id !== undefined && { modelId: openfga.model_id }),
        ...tokenIn(openfga.token_file),
      };
  return {
    timeLimitMs: seconds * 1000,
    ...(relations && { relations: relations as Relations }),
    ...(outside && { outside }),
  };
}

/** How ids look in OpenFGA, so that none of them can mean another object, a set of users, or everybody. */
export const fgaName = /^[A-Za-z0-9._@+|/=-]{1,200}$/;

function templateFault(key: keyof OpenFgaCheck, template: string): string | undefined {
  const odd = [...template.matchAll(/\{([^}]*)\}/g)].find(
    ([, name = ""]) => !placeholders.includes(name) && !/^bound\.[A-Za-z0-9_]+$/.test(name),
  );
  if (odd)
    return `nothing is known as ${odd[0]}: there are {${placeholders.join("}, {")}} and {bound.<field>}`;
  const plain = template.replaceAll(/\{[^}]*\}/g, "x");
  if (key === "relation") return /^[^:#@*\s]{1,50}$/.test(plain) ? undefined : "this is no relation";
  return /^[^:#@*\s]+:[^:#*\s]+(#[^:#@*\s]+)?$/.test(plain) && (key === "user" || !plain.includes("#"))
    ? undefined
    : `this is no ${key}`;
}

function bare(url: string): string {
  return url.replace(/\/+$/, "");
}
