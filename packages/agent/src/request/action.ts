import { canonicalize, getErrorMessage, isObject, type Json, type JsonObject } from "@countersign/protocol";
import { InvalidArgumentError } from "@countersign/protocol/client";

/**
 * What would be done: the action type's name, as the operator declared it, and its fields. Numbers are safe integers;
 * anything with a decimal point is a string, `"19.90"`.
 */
export type Action = { readonly type: string; readonly [field: string]: Json };

/**
 * One action, or several that are asked for in one request and answered as one. (The empty list makes TypeScript keep each
 * place of a list apart; the server refuses it.)
 */
export type Actions = Action | readonly Action[] | readonly [];

/**
 * The action as granted, which is what may now be done: the bound fields of what was asked, as they were or narrower.
 * Advisory fields (context for the approver) do not come back, so every field but `type` may be absent. Of several, each in
 * its place.
 */
export type Granted<A extends Actions = Action> = A extends readonly unknown[]
  ? { readonly [I in keyof A]: A[I] extends Action ? GrantedOne<A[I]> : never }
  : A extends Action
    ? GrantedOne<A>
    : never;

type GrantedOne<A extends Action> = { readonly type: A["type"] } & {
  readonly [K in keyof A]?: Widened<A[K]>;
};

type Widened<V> = V extends string ? string : V extends number ? number : V extends boolean ? boolean : V;

/** Throws an InvalidArgumentError that names the field and its remedy, for an action that is not JSON of this protocol. */
export function requireJson(value: Json, path: string): void {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw new InvalidArgumentError(
      Number.isInteger(value) || !Number.isFinite(value)
        ? `${path} is ${value}, which JSON cannot carry exactly: write it as a string`
        : `${path} is ${value}: a number in an action is an integer; write a decimal as a string, "${value}"`,
    );
  if (value === undefined)
    throw new InvalidArgumentError(`${path} is undefined, which is not JSON: leave the field out`);
  if (Array.isArray(value)) for (const [at, one] of value.entries()) requireJson(one, `${path}[${at}]`);
  else if (isObject(value))
    for (const [field, one] of Object.entries(value)) requireJson(one, `${path}.${field}`);
}

/** Returns the canonical JSON. Throws an InvalidArgumentError for a value that is not JSON of this protocol. */
export function canonicalizeArgument(value: Json): string {
  try {
    return canonicalize(value);
  } catch (cause) {
    throw new InvalidArgumentError(getErrorMessage(cause), { cause });
  }
}

/** Where an action has its type: nothing that looks like a decimal there is one. */
const typePath = /^actions?(\[\d+\])?\.type$/;
/** A decimal as the protocol writes it, or an integer. */
const decimal = /^-?\d+(\.\d+)?$/;

/**
 * Holds what was granted against what was asked: the same type, no field that was not asked for, each value the same
 * or one that an approver can have narrowed it to: another number or decimal (which way is narrower, the action type
 * knows), a part of a list, an object narrowed member by member. Answers the path of the first field that is neither.
 */
export function widenedAt(asked: Json, granted: Json, path = "action"): string | undefined {
  if (canonicalize(asked) === canonicalize(granted)) return undefined;
  if (typeof asked === "number" && typeof granted === "number") return undefined;
  if (typeof asked === "string" && typeof granted === "string")
    return !typePath.test(path) && decimal.test(asked) && decimal.test(granted) ? undefined : path;
  if (Array.isArray(asked) && Array.isArray(granted)) {
    const wanted = new Set(asked.map((one: Json) => canonicalize(one)));
    const extra = granted.findIndex((one: Json) => !wanted.has(canonicalize(one)));
    return extra < 0 ? undefined : `${path}[${extra}]`;
  }
  if (!isObject(asked) || !isObject(granted)) return path;
  for (const [field, value] of Object.entries(granted)) {
    if (!Object.hasOwn(asked, field)) return `${path}.${field}`;
    const widened = widenedAt(asked[field]!, value, `${path}.${field}`);
    if (widened) return widened;
  }
  return undefined;
}

/** The top-level fields in which an approver narrowed what was asked. */
export function narrowedFields(asked: JsonObject, granted: JsonObject): string[] {
  return Object.keys(granted).filter(
    (field) => canonicalize(asked[field]!) !== canonicalize(granted[field]!),
  );
}
