/**
 * The action: what would be done, read strictly, shown whole, and described by the server. This directory holds what an
 * operator declares about an action type (`definition.ts`, checked by `declaration.ts` and `schema.ts`), how an agent's
 * `authorization_details` become one action of it (`read.ts`), and the card on which a person sees it (`card.ts`,
 * `format.ts`, `quotation.ts`). Everything here is a pure value or a pure function. It never repairs what an agent
 * sent, never lets an agent's words become the server's, and never decides who may approve.
 */
import {
  type AuthenticationLevel,
  hashJson,
  type Json,
  type JsonObject,
  type Reversibility,
} from "@countersign/protocol";
import { checkDeclaration, type Declaration, type DeclarationProblem } from "./declaration.ts";
import { compileSchema, type FieldFault, readSchema } from "./schema.ts";

/** How a value is shown: see `format.ts`. */
export const formats = ["text", "money", "money-minor", "quantity", "duration", "time", "list"] as const;
export type Format = (typeof formats)[number];

/** One labelled value of the card. `currency` names the bound field that holds the ISO 4217 code. */
export type Row = {
  readonly label: string;
  readonly field: string;
  readonly as: Format;
  readonly currency?: string;
  readonly unit?: string;
};

/**
 * Who may approve. Where `owner` knows the value of its field, that owner and nobody else; otherwise people and groups.
 * An owner is an e-mail address or the name of a group (which has no `@`).
 */
export type ApproverRule = {
  readonly people: readonly string[];
  readonly groups: readonly string[];
  readonly owner?: { readonly field: string; readonly of: { readonly [value: string]: string } };
};

/** An action type as it is published. All of it is hashed, and the hash is part of every digest. */
export type ActionType = {
  readonly type: string;
  readonly schema: JsonObject;
  readonly bound: readonly string[];
  readonly advisory: readonly string[];
  readonly subject: readonly string[];
  readonly sentence: string;
  readonly rows: readonly Row[];
  readonly reversibility: Reversibility;
  readonly audience: string;
  readonly level: AuthenticationLevel;
};

/** An action type with the operator's rules around it, which are neither published nor hashed. */
export type ActionRule = {
  readonly definition: ActionType;
  /** base64url SHA-256 of the canonical definition. */
  readonly hash: string;
  readonly approvers: ApproverRule;
  readonly lifetimeSeconds: { readonly default: number; readonly max: number };
  readonly tokenLifetimeSeconds: number;
  /** The first fault of a detail's fields (`type` left out), or undefined. */
  readonly validate: (fields: unknown) => FieldFault | undefined;
  /** Set where the action is a bare scope: it has no fields, and its sentence is fixed. */
  readonly scope?: string;
};

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
export function buildActionRule(
  declaration: Declaration,
): { readonly rule: ActionRule } | { readonly problems: readonly DeclarationProblem[] } {
  const { scope } = declaration;
  const advisory = declaration.advisory ?? [];
  const lifetimeSeconds = declaration.lifetimeSeconds ?? defaults.lifetimeSeconds;
  const tokenLifetimeSeconds = declaration.tokenLifetimeSeconds ?? defaults.tokenLifetimeSeconds;
  const complete = {
    ...declaration,
    advisory,
    // Every bound field, so that a denial is never wider than what was denied unless the operator says so.
    subject: declaration.subject ?? declaration.bound,
    lifetimeSeconds,
    tokenLifetimeSeconds,
  };
  const read = readSchema(declaration.schema);
  const problems = [...read.problems, ...checkDeclaration(complete, read)];
  if (problems.length > 0) return { problems };
  const compiled = compileSchema(declaration.schema);
  if ("problems" in compiled) return compiled;
  // A copy, as it will be frozen: the declaration stays the caller's.
  const definition: ActionType = structuredClone({
    type: declaration.type,
    schema: declaration.schema,
    bound: declaration.bound,
    advisory,
    subject: complete.subject,
    sentence: declaration.sentence,
    rows: declaration.rows.map(withoutGaps),
    reversibility: declaration.reversibility ?? defaults.reversibility,
    audience: declaration.audience,
    level: declaration.level ?? defaults.level,
  });
  const rule: ActionRule = {
    definition,
    hash: hashJson(definition as unknown as Json),
    approvers: structuredClone(declaration.approvers),
    lifetimeSeconds: { ...lifetimeSeconds },
    tokenLifetimeSeconds,
    validate: compiled.validate,
    ...(scope === undefined ? {} : { scope }),
  };
  return { rule: deepFreeze(rule) };
}

/** A member that is undefined has no canonical form: an absent one is left out. */
function withoutGaps(row: Row): Row {
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
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}
