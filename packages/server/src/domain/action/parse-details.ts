/**
 * Parses `authorization_details` (RFC 9396 §2) into the parts of one action, or refuses it with the path of the fault.
 * Parses the text itself, because `JSON.parse` hides duplicate keys and changes numbers.
 */
import { inspectText, type Json, type JsonObject, type JsonRefusal, parseJson } from "@countersign/protocol";
import type { ActionPolicy } from "./action-type.ts";
import { findNotCombinable, maxParts } from "./combination.ts";
import { textFaults } from "./declaration.ts";
import { escapeErrorText, formatErrorPath, quoteErrorName } from "./quotation.ts";
import { maxTextCodePoints } from "./schema.ts";

/** Maximum size of the text. A form may be larger, but an approver cannot review more. */
const maxDetailsBytes = 32 * 1024;

/**
 * Maximum size of the granted details. The token contains them and must fit into a header: servers accept 16 KB of
 * headers, and base64url turns three bytes into four.
 */
const maxGrantBytes = 8 * 1024;

/** One detail: `bound` is digested, signed and granted; `advisory` is only quoted. */
export type ParsedPart = {
  readonly policy: ActionPolicy;
  readonly bound: JsonObject;
  readonly advisory: JsonObject;
};

/** `${path} ${why}` is the text of an `error_description`. */
export type DetailsRefusal = {
  readonly refused: "invalid_authorization_details";
  readonly path: string;
  readonly why: string;
};

/**
 * Parses one detail, or several that the operator allows in one action, in their order. Returns at least one part.
 * Actions that are scopes are requested with `scope` instead.
 */
export function parseDetails(
  text: string,
  policies: ReadonlyMap<string, ActionPolicy>,
): readonly ParsedPart[] | DetailsRefusal {
  if (Buffer.byteLength(text) > maxDetailsBytes)
    return refuse("$", `is longer than ${maxDetailsBytes} bytes`);
  const parsed = parseJson(text);
  if ("refused" in parsed) return refuse(parsed.path, jsonFaults[parsed.refused]);
  const details = parsed.value;
  if (!Array.isArray(details)) return refuse("$", "must be an array of objects");
  if (details.length < 1 || details.length > maxParts)
    return refuse("$", `contains ${details.length} details; a request has 1 to ${maxParts}`);
  const parts: ParsedPart[] = [];
  for (const [at, detail] of details.entries()) {
    const part = parsePart(detail, at, policies);
    if ("refused" in part) return part;
    parts.push(part);
  }
  return checkCombination(parts) ?? parts;
}

/** Returns why these parts may not be requested together; undefined if they may. */
function checkCombination(parts: readonly ParsedPart[]): DetailsRefusal | undefined {
  // Fields are in the order of the definition, so that equal details have equal texts.
  const grantedTexts = parts.map(({ policy, bound }) =>
    JSON.stringify({ type: policy.definition.type, ...bound }),
  );
  const size = grantedTexts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (size > maxGrantBytes)
    return refuse("$", `has ${size} bytes of bound fields; a token can contain ${maxGrantBytes}`);
  const pair = findNotCombinable(parts.map(({ policy }) => policy));
  if (pair) {
    const [left, right] = pair.map((at) => quoteErrorName(parts[at]!.policy.definition.type));
    const both = left === right ? `two of ${left}` : `${left} and ${right}`;
    return refuse(`$[${pair[1]}]`, `must be requested separately: ${both} cannot be combined`);
  }
  const duplicate = grantedTexts.findIndex((text, at) => grantedTexts.indexOf(text) < at);
  // Refuse equal details: two equal lines would be read as one.
  return duplicate < 0 ? undefined : refuse(`$[${duplicate}]`, "equals an earlier detail");
}

function parsePart(
  detail: Json,
  at: number,
  policies: ReadonlyMap<string, ActionPolicy>,
): ParsedPart | DetailsRefusal {
  if (typeof detail !== "object" || detail === null || Array.isArray(detail))
    return refuse(`$[${at}]`, "must be an object");
  const { type, ...fields } = detail as JsonObject;
  if (typeof type !== "string") return refuse(`$[${at}].type`, "is required, and must be a string");
  const policy = policies.get(type);
  if (!policy) return refuse(`$[${at}].type`, `${quoteErrorName(type)} is not an action type of this server`);
  if (policy.scope !== undefined)
    return refuse(
      `$[${at}].type`,
      `${quoteErrorName(type)} is requested with scope, without authorization_details`,
    );
  const fault = policy.validate(fields);
  if (fault) return refuse(formatErrorPath([at, ...fault.path]), fault.why);
  const { bound, advisory } = policy.definition;
  return (
    findUndisplayable(fields, at, bound, false) ??
    findUndisplayable(fields, at, advisory, true) ?? {
      policy,
      bound: pick(fields, bound),
      advisory: pick(fields, advisory),
    }
  );
}

/** Finds the first text that cannot be displayed as it is. Only advisory text may have several lines. */
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
      if (fault !== undefined) return refuse(formatErrorPath(path), textFaults[fault]);
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
  return { refused: "invalid_authorization_details", path: escapeErrorText(path), why: escapeErrorText(why) };
}

const jsonFaults: { readonly [fault in JsonRefusal["refused"]]: string } = {
  not_json: "is not JSON",
  duplicate_key: "is repeated",
  unsafe_number: "must be an integer that JSON represents exactly; a decimal is written as a string",
  lone_surrogate: "contains a lone surrogate",
  too_deep: "is nested too deeply",
  forbidden_key: "is not a valid field name",
};
