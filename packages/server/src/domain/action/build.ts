/** Builds the policy of an action type from the operator's declaration: defaults applied, checked, hashed and frozen. */
import { type AuthenticationLevel, hashJson, type Json, type Reversibility } from "@countersign/protocol";
import type { ActionPolicy, ActionType, Row } from "./action-type.ts";
import { checkDeclaration, type Declaration } from "./declaration.ts";
import { compileSchema, type DeclarationProblem, readSchema } from "./schema.ts";

/** Defaults of a declaration. */
const defaults = {
  /** The cautious default. */
  reversibility: "irreversible" as Reversibility,
  /** The only level whose evidence can be verified offline; a weaker level must be chosen explicitly. */
  level: "passkey-signed" as AuthenticationLevel,
  /** Seconds. Time to pick up a phone and read; at most ten minutes, so that an approval is about the present. */
  lifetimeSeconds: { default: 120, max: 600 },
  /** Seconds. The token is for one call that is ready to be made. */
  tokenLifetimeSeconds: 60,
};

/** Builds the policy from a declaration, or returns everything that is wrong with it. */
export function buildActionPolicy(
  declaration: Declaration,
): { readonly policy: ActionPolicy } | { readonly problems: readonly DeclarationProblem[] } {
  const { scope } = declaration;
  const advisory = declaration.advisory ?? [];
  const lifetimeSeconds = declaration.lifetimeSeconds ?? defaults.lifetimeSeconds;
  const tokenLifetimeSeconds = declaration.tokenLifetimeSeconds ?? defaults.tokenLifetimeSeconds;
  const resolved = {
    ...declaration,
    advisory,
    // Default: every bound field, so that a denial blocks no more than what was denied.
    denyBy: declaration.denyBy ?? declaration.bound,
    lifetimeSeconds,
    tokenLifetimeSeconds,
  };
  const fields = readSchema(declaration.schema);
  const problems = [...fields.problems, ...checkDeclaration(resolved, fields)];
  if (problems.length > 0) return { problems };
  const compiled = compileSchema(declaration.schema);
  if ("problems" in compiled) return compiled;
  // Copy before freezing: the declaration belongs to the caller.
  const definition: ActionType = structuredClone({
    type: declaration.type,
    schema: declaration.schema,
    bound: declaration.bound,
    advisory,
    denyBy: resolved.denyBy,
    sentence: declaration.sentence,
    rows: declaration.rows.map(omitUndefined),
    reversibility: declaration.reversibility ?? defaults.reversibility,
    audience: declaration.audience,
    level: declaration.level ?? defaults.level,
  });
  const policy: ActionPolicy = {
    definition,
    hash: hashJson(definition as unknown as Json),
    approvers: structuredClone(declaration.approvers),
    lifetimeSeconds: { ...lifetimeSeconds },
    tokenLifetimeSeconds,
    combinableWith: [...(declaration.combinableWith ?? [])],
    validate: compiled.validate,
    ...(scope === undefined ? {} : { scope }),
  };
  return { policy: freezeDeep(policy) };
}

/** Removes undefined members, which have no canonical form. */
function omitUndefined(row: Row): Row {
  const { label, field, as, currency, unit } = row;
  return {
    label,
    field,
    as,
    ...(currency !== undefined && { currency }),
    ...(unit !== undefined && { unit }),
  };
}

/** Freezes a value deeply and returns it. Functions are not frozen. */
export function freezeDeep<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) freezeDeep(member);
  return value;
}
