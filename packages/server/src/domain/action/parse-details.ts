/**
 * `authorization_details` (RFC 9396 §2) as text, read into the parts of one action, or refused with the path of
 * what is wrong. Read from the text, because parsing loses what must be seen: duplicate keys, and numbers that change.
 */
import { inspectText, type Json, type JsonObject, type JsonRefusal, parseJson } from "@countersign/protocol";
import type { ActionPolicy } from "./action-type.ts";
import { findNotCombinable, maxParts } from "./combination.ts";
import { textFaults } from "./declaration.ts";
import { errorName, errorPath, errorText } from "./quotation.ts";
import { maxTextCodePoints } from "./schema.ts";

/** Bytes of the text. A form holds more, but a person reads no more. */
const longestDetails = 32 * 1024;

/**
 * Bytes of what would be granted. The token carries it, and a token must fit into a header field: servers take 16 KB of
 * those in all, and base64url makes four bytes of three.
 */
const longestGrant = 8 * 1024;

/** One detail as it was asked for: `bound` is digested, signed and granted; `advisory` is only ever quoted. */
export type ReadPart = {
  readonly rule: ActionPolicy;
  readonly bound: JsonObject;
  readonly advisory: JsonObject;
};

/** `path` and `why` are error text: `${path} ${why}` is an `error_description`. */
export type DetailsRefusal = {
  readonly refused: "invalid_authorization_details";
  readonly path: string;
  readonly why: string;
};

/**
 * Reads one detail, or several that the operator lets be one action, in their order. Never empty. Scopes that are actions
 * are not asked for here, but by their scope.
 */
export function readAction(
  text: string,
  rules: ReadonlyMap<string, ActionPolicy>,
): readonly ReadPart[] | DetailsRefusal {
  if (Buffer.byteLength(text) > longestDetails) return refuse("$", `is longer than ${longestDetails} bytes`);
  const parsed = parseJson(text);
  if ("refused" in parsed) return refuse(parsed.path, jsonFaults[parsed.refused]);
  const details = parsed.value;
  if (!Array.isArray(details)) return refuse("$", "must be an array of objects, most often of one");
  if (details.length < 1 || details.length > maxParts)
    return refuse("$", `holds ${details.length} details; one request is for 1 to ${maxParts} of them`);
  const parts: ReadPart[] = [];
  for (const [at, detail] of details.entries()) {
    const part = readPart(detail, at, rules);
    if ("refused" in part) return part;
    parts.push(part);
  }
  return inOneAction(parts) ?? parts;
}

/** Why these may not be asked for in one request, if they may not. */
function inOneAction(parts: readonly ReadPart[]): DetailsRefusal | undefined {
  // The fields stand in the order of their definition, so that equal details are equal texts.
  const granted = parts.map(({ rule, bound }) => JSON.stringify({ type: rule.definition.type, ...bound }));
  const size = granted.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (size > longestGrant)
    return refuse("$", `binds ${size} bytes, and a token has room for ${longestGrant}`);
  const pair = findNotCombinable(parts.map(({ rule }) => rule));
  if (pair) {
    const [left, right] = pair.map((at) => errorName(parts[at]!.rule.definition.type));
    const both = left === right ? `two of ${left}` : `${left} and ${right}`;
    return refuse(`$[${pair[1]}]`, `must be a request of its own: ${both} are not approved together here`);
  }
  const again = granted.findIndex((text, at) => granted.indexOf(text) < at);
  // Two lines that say the same are read as one.
  return again < 0 ? undefined : refuse(`$[${again}]`, "says the same as a detail before it");
}

function readPart(
  detail: Json,
  at: number,
  rules: ReadonlyMap<string, ActionPolicy>,
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
    findUndisplayable(fields, at, bound, false) ??
    findUndisplayable(fields, at, advisory, true) ?? {
      rule,
      bound: pick(fields, bound),
      advisory: pick(fields, advisory),
    }
  );
}

/** The first text that a person could not see as it is. Only the agent's own words may have several lines. */
function findUndisplayable(
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
