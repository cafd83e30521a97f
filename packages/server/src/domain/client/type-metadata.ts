/**
 * Action types in client metadata: those with fields as `authorization_details_types` (RFC 9396 §10), bare scopes that
 * are actions as `scope` (RFC 7591 §2).
 */
import type { Json, JsonObject } from "@countersign/protocol";
import { type ActionPolicy, standardScopes } from "../action/action-type.ts";
import type { AddProblem } from "./problem.ts";

type Types = ReadonlyMap<string, ActionPolicy>;

/**
 * Reads the action types that the metadata names. If a member is missing, all allowed types of its kind are registered.
 */
export function readTypes(metadata: JsonObject, allowed: Types, addProblem: AddProblem): readonly string[] {
  const isScope = (type: string) => allowed.get(type)?.scope !== undefined;
  const known = [...allowed.keys()];
  const details = readDetails(metadata.authorization_details_types, addProblem);
  const scopes = readScopes(metadata.scope, addProblem);
  for (const type of details ?? [])
    if (!allowed.has(type) || isScope(type))
      addProblem(
        "authorization_details_types",
        `${JSON.stringify(type)} is not an action type that this agent may be registered for`,
        formatRemedy(known.filter((name) => !isScope(name))),
      );
  for (const scope of scopes ?? [])
    if (!isScope(scope))
      addProblem(
        "scope",
        `${JSON.stringify(scope)} is not an action scope that this agent may be registered for`,
        formatRemedy(known.filter(isScope)),
      );
  const types = [
    ...(details ?? known.filter((name) => !isScope(name))),
    ...(scopes ?? known.filter(isScope)),
  ];
  if (types.length === 0)
    addProblem(
      "authorization_details_types",
      "an agent without action types cannot request anything",
      formatRemedy(known),
    );
  return types;
}

/** Writes the members that `readTypes` reads. Always writes both, as a missing member would mean all types. */
export function toTypeMetadata(types: readonly string[], policies: Types): JsonObject {
  const isScope = (type: string) => policies.get(type)?.scope !== undefined;
  return {
    authorization_details_types: types.filter((type) => !isScope(type)),
    scope: ["openid", ...types.filter(isScope)].join(" "),
  };
}

function readDetails(value: Json | undefined, addProblem: AddProblem): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((type) => typeof type === "string")) return [...new Set(value)];
  addProblem("authorization_details_types", "this is not a list of action types", 'write it as ["refund"]');
  return [];
}

function readScopes(value: Json | undefined, addProblem: AddProblem): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string")
    return [...new Set(value.split(" ").filter((scope) => scope !== "" && !standardScopes.includes(scope)))];
  addProblem("scope", "this is not text", "write scopes in one text, with spaces between them");
  return [];
}

function formatRemedy(types: readonly string[]): string {
  return types.length > 0 ? `choose from ${types.join(", ")}` : "none is possible here; leave it out";
}
