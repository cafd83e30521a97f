import { canonicalize, getErrorMessage, isObject, type Json, type JsonObject } from "@countersign/protocol";
import { InvalidArgumentError } from "@countersign/protocol/client";

/**
 * An action: the name of its type, as the operator declared it, and its fields. Numbers are safe integers; decimals are
 * strings: `"19.90"`.
 */
export type Action = { readonly type: string; readonly [field: string]: Json };

/**
 * One action, or a list of actions that are requested and decided as one. (The empty list makes TypeScript infer a tuple;
 * the server rejects it.)
 */
export type Actions = Action | readonly Action[] | readonly [];

/**
 * The granted action: the bound fields of the requested action, unchanged or narrowed. Advisory fields (context for the
 * approver) are not returned, so every field except `type` is optional. For a list: a tuple in the order of the request.
 */
export type Granted<A extends Actions = Action> = A extends readonly unknown[]
  ? { readonly [I in keyof A]: A[I] extends Action ? GrantedAction<A[I]> : never }
  : A extends Action
    ? GrantedAction<A>
    : never;

type GrantedAction<A extends Action> = { readonly type: A["type"] } & {
  readonly [K in keyof A]?: Widened<A[K]>;
};

type Widened<V> = V extends string ? string : V extends number ? number : V extends boolean ? boolean : V;

/** Throws an InvalidArgumentError, with the path and a remedy, if a value is not JSON of this protocol. */
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

/** Paths of action types. A type that is spelled like a number is not a decimal. */
const actionTypePath = /^actions?(\[\d+\])?\.type$/;
/** An integer or a decimal, as the protocol writes them. */
const decimal = /^-?\d+(\.\d+)?$/;

/**
 * Returns the path of the first value in `granted` that an approver cannot have narrowed from `asked`, or undefined. Valid
 * are: an equal value, another number or decimal (only the action type knows which direction is narrower), a subset of
 * a list, and an object whose members are each valid. A field that was not requested, or another type, is invalid.
 */
export function findWidenedPath(asked: Json, granted: Json, path = "action"): string | undefined {
  if (canonicalize(asked) === canonicalize(granted)) return undefined;
  if (typeof asked === "number" && typeof granted === "number") return undefined;
  if (typeof asked === "string" && typeof granted === "string")
    return !actionTypePath.test(path) && decimal.test(asked) && decimal.test(granted) ? undefined : path;
  if (Array.isArray(asked) && Array.isArray(granted)) {
    const requested = new Set(asked.map((one: Json) => canonicalize(one)));
    const extra = granted.findIndex((one: Json) => !requested.has(canonicalize(one)));
    return extra < 0 ? undefined : `${path}[${extra}]`;
  }
  if (!isObject(asked) || !isObject(granted)) return path;
  for (const [field, value] of Object.entries(granted)) {
    if (!Object.hasOwn(asked, field)) return `${path}.${field}`;
    const widened = findWidenedPath(asked[field]!, value, `${path}.${field}`);
    if (widened) return widened;
  }
  return undefined;
}

/** Returns the names of the top-level fields whose values differ. */
export function listNarrowedFields(asked: JsonObject, granted: JsonObject): string[] {
  return Object.keys(granted).filter(
    (field) => canonicalize(asked[field]!) !== canonicalize(granted[field]!),
  );
}
