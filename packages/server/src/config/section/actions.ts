/** The `actions` and `scopes` sections: action types, and who may approve them. */
import { authenticationLevels, type JsonObject, reversibilities } from "@countersign/protocol";
import { z } from "zod";
import { type ActionPolicy, formats, standardScopes } from "../../domain/action/action-type.ts";
import { buildActionPolicy } from "../../domain/action/build.ts";
import type { Path } from "../document.ts";
import { defineObject, email, emailPattern, namePattern } from "../field.ts";
import { freezeMap } from "../freeze.ts";
import { type AddProblem, validate } from "../problem.ts";
import { definePolicy, type SectionContext } from "../section.ts";
import { suggestSpelling } from "../spelling.ts";
import { apisSection } from "./apis.ts";
import { groupsSection } from "./groups.ts";
import { writeSampleActions } from "./sample-actions.ts";

const sentence = z.string();
const seconds = z.number();

const approvers = defineObject({
  people: z.array(email).default([]),
  groups: z.array(z.string()).default([]),
  owner: defineObject({
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
  lifetime: defineObject({ default: seconds, max: seconds }).optional(),
  token_lifetime: seconds.optional(),
};

const jsonSchema = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "this is not a JSON Schema\nwrite an object: type, additionalProperties, required, properties",
);

const fields = z.array(z.string());

const actionSchema = defineObject({
  ...actionSettings,
  schema: jsonSchema,
  bound: fields,
  advisory: fields.optional(),
  deny_by: fields.optional(),
  combinable_with: fields.optional(),
  display: defineObject({
    sentence,
    rows: z.array(
      defineObject({
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

const scopeSchema = defineObject({ ...actionSettings, sentence });

/** RFC 9396 §2 leaves the name open; this one fits an error message, a log line and a command line. */
const actionTypePattern = /^[A-Za-z][A-Za-z0-9._:/-]{0,127}$/;

type Declarations = { readonly [type: string]: unknown };

export const actionsSection = definePolicy({
  // Each is validated separately, so that a problem in one does not hide those of another.
  shape: {
    actions: z.record(z.string(), z.unknown()).default({}),
    scopes: z.record(z.string(), z.unknown()).default({}),
  },
  read(
    values,
    context,
  ): {
    /** By action type. A scope that is declared as an action is under its name, with `scope` set. */
    readonly actions: ReadonlyMap<string, ActionPolicy>;
  } {
    return { actions: freezeMap(readActions(values, context)) };
  },
  sample: writeSampleActions,
});

/** Reads each action and scope separately, and checks its references to other sections. */
function readActions(
  { actions, scopes }: { readonly actions: Declarations; readonly scopes: Declarations },
  { use, addProblem }: SectionContext,
): [string, ActionPolicy][] {
  const groups = use(groupsSection)?.settings.groups;
  const apis = use(apisSection)?.settings.apis;
  const types = Object.keys(actions);
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
    if (apis && !apis.has(api))
      addProblem({
        path: [...path, "api"],
        message: `no API is called ${api}`,
        remedy: suggestSpelling(api, [...apis.keys()]),
      });
    const checkGroup = (group: string, at: Path) => {
      if (groups && !groups.has(group))
        addProblem({
          path: [...path, "approvers", ...at],
          message: `no group is called ${group}`,
          remedy: suggestSpelling(group, [...groups.keys()]),
        });
    };
    for (const [i, group] of approvers.groups.entries()) checkGroup(group, ["groups", i]);
    for (const [value, owner] of Object.entries(approvers.owner?.of ?? {}))
      if (!owner.includes("@")) checkGroup(owner, ["owner", "of", value]);
    const result = build(apis?.get(api)?.audience ?? "");
    if ("policy" in result) policies.push([result.policy.definition.type, result.policy]);
    else for (const problem of result.problems) addProblem({ ...problem, path: [...path, ...problem.path] });
  };

  const combinations = new Map<string, Combination>();
  for (const [type, value] of Object.entries(actions)) {
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
  for (const [scope, value] of Object.entries(scopes)) {
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
  addProblem: AddProblem,
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

type ActionSettings = Omit<NonNullable<z.output<typeof scopeSchema>>, "sentence">;

const emptySchema = { type: "object", additionalProperties: false, properties: {} } as const;

function toPolicySettings({ reversibility, approvers, level, lifetime, token_lifetime }: ActionSettings) {
  return { reversibility, approvers, level, lifetimeSeconds: lifetime, tokenLifetimeSeconds: token_lifetime };
}
