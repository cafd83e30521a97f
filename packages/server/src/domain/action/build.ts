/** From what an operator declared to the rule that the server works by: complete, checked, hashed and frozen. */
import { type AuthenticationLevel, hashJson, type Json, type Reversibility } from "@countersign/protocol";
import type { ActionPolicy, ActionType, Row } from "./action-type.ts";
import { checkDeclaration, type Declaration } from "./declaration.ts";
import { compileSchema, type DeclarationProblem, readSchema } from "./schema.ts";

/** What an operator need not say. */
const defaults = {
  /** The cautious reading of an action about which nothing was said. */
  reversibility: "irreversible" as Reversibility,
  /** The only level that leaves evidence which others can verify; weaker ones are chosen, not fallen into. */
  level: "passkey-signed" as AuthenticationLevel,
  /** Time to reach for a phone and read; ten minutes at most, so that an approval is about the present. */
  lifetimeSeconds: { default: 120, max: 600 },
  /** The token is for one call that is ready to be made. */
  tokenLifetimeSeconds: 60,
};

/** Turns a declaration into a rule, or names everything that is wrong with it. */
export function buildActionPolicy(
  declaration: Declaration,
): { readonly rule: ActionPolicy } | { readonly problems: readonly DeclarationProblem[] } {
  const { scope } = declaration;
  const advisory = declaration.advisory ?? [];
  const lifetimeSeconds = declaration.lifetimeSeconds ?? defaults.lifetimeSeconds;
  const tokenLifetimeSeconds = declaration.tokenLifetimeSeconds ?? defaults.tokenLifetimeSeconds;
  const resolved = {
    ...declaration,
    advisory,
    // Every bound field, so that a denial is never wider than what was denied unless the operator says so.
    denyBy: declaration.denyBy ?? declaration.bound,
    lifetimeSeconds,
    tokenLifetimeSeconds,
  };
  const fields = readSchema(declaration.schema);
  const problems = [...fields.problems, ...checkDeclaration(resolved, fields)];
  if (problems.length > 0) return { problems };
  const compiled = compileSchema(declaration.schema);
  if ("problems" in compiled) return compiled;
  // A copy, as it will be frozen: the declaration stays the caller's.
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
  const rule: ActionPolicy = {
    definition,
    hash: hashJson(definition as unknown as Json),
    approvers: structuredClone(declaration.approvers),
    lifetimeSeconds: { ...lifetimeSeconds },
    tokenLifetimeSeconds,
    combinableWith: [...(declaration.combinableWith ?? [])],
    validate: compiled.validate,
    ...(scope === undefined ? {} : { scope }),
  };
  return { rule: freezeDeep(rule) };
}

/** A member that is undefined has no canonical form: an absent one is left out. */
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

/** Freezes a value and all that it holds, and gives it back. Functions stay as they are. */
export function freezeDeep<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) freezeDeep(member);
  return value;
}
