/**
 * `authorization_details` (RFC 9396 §2) as text, read into the parts of one action, or refused with the path of
 * what is wrong. Read from the text, because parsing loses what must be seen: duplicate keys, and numbers that change.
 */
import { inspectText, type Json, type JsonObject, type JsonRefusal, parseJson } from "@countersign/protocol";
import { textFaults } from "./declaration.ts";
import type { ActionRule } from "./definition.ts";
import { errorName, errorPath, errorText } from "./quotation.ts";
import { maxTextCodePoints } from "./schema.ts";

/** One detail as it was asked for: `bound` is digested, signed and granted; `advisory` is only ever quoted. */
export type ReadPart = {
  readonly rule: ActionRule;
  readonly bound: JsonObject;
  readonly advisory: JsonObject;
};

/** `path` and `why` are error text: `${path} ${why}` is an `error_description`. */
export type DetailsRefusal = {
  readonly refused: "invalid_authorization_details";
  readonly path: string;
  readonly why: string;
};

/** Reads exactly one detail. Scopes that are actions are not asked for here, but by their scope. */
export function readAction(
  text: string,
  rules: ReadonlyMap<string, ActionRule>,
): readonly ReadPart[] | DetailsRefusal {
  const parsed = parseJson(text);
  if ("refused" in parsed) return refuse(parsed.path, jsonFaults[parsed.refused]);
  const details = parsed.value;
  if (!Array.isArray(details)) return refuse("$", "must be an array with one object");
  if (details.length !== 1)
    return refuse("$", `holds ${details.length} details; this server takes exactly one action in a request`);
  const parts: ReadPart[] = [];
  for (const [at, detail] of details.entries()) {
    const part = readPart(detail, at, rules);
    if ("refused" in part) return part;
    parts.push(part);
  }
  return parts;
}

function readPart(
  detail: Json,
  at: number,
  rules: ReadonlyMap<string, ActionRule>,
): ReadPart | DetailsRefusal {
  if (typeof detail !== "object" || detail === null || Array.isArray(detail))
    return refuse(`$[${at}]`, "must be an object");
  const { type, ...fields } = detail as JsonObject;
  if (typeof type !== "string") return refuse(`$[${at}].type`, "is required, and must be a string");
  const rule = rules.get(type);
  if (!rule) return refuse(`$[${at}].type`, `${errorName(type)} is not an action type of this server`);
  if (rule.scope !== undefined)
    return refuse(
      `$[${at}].type`,
      `${errorName(type)} is asked for as a scope, without authorization_details`,
    );
  const fault = rule.validate(fields);
  if (fault) return refuse(errorPath([at, ...fault.path]), fault.why);
  const { bound, advisory } = rule.definition;
  return (
    unseemly(fields, at, bound, false) ??
    unseemly(fields, at, advisory, true) ?? {
      rule,
      bound: pick(fields, bound),
      advisory: pick(fields, advisory),
    }
  );
}

/** The first text that a person could not see as it is. Only the agent's own words may have several lines. */
function unseemly(
  fields: JsonObject,
  at: number,
  names: readonly string[],
  lineBreaks: boolean,
): DetailsRefusal | undefined {
  for (const name of names) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    for (const [i, item] of (Array.isArray(value) ? value : [value]).entries()) {
      if (typeof item !== "string") continue;
      const fault = inspectText(item, { maxCodePoints: maxTextCodePoints, lineBreaks });
      const path = Array.isArray(value) ? [at, name, i] : [at, name];
      if (fault !== undefined) return refuse(errorPath(path), textFaults[fault]);
    }
  }
  return undefined;
}

function pick(fields: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap((name) => (Object.hasOwn(fields, name) ? [[name, fields[name] as Json]] : [])),
  );
}

function refuse(path: string, why: string): DetailsRefusal {
  return { refused: "invalid_authorization_details", path: errorText(path), why: errorText(why) };
}

const jsonFaults: { readonly [fault in JsonRefusal["refused"]]: string } = {
  not_json: "is not JSON",
  duplicate_key: "is there twice",
  unsafe_number: "must be an integer that JSON can hold exactly; a decimal is written as a string",
  lone_surrogate: "holds half of a surrogate pair",
  too_deep: "is nested too deeply",
  forbidden_key: "is a name that no field can have",
};
