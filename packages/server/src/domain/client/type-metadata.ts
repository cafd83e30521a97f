/**
 * Action types in client metadata: those with fields as `authorization_details_types` (RFC 9396 §10), bare scopes that
 * are actions as `scope` (RFC 7591 §2).
 */
import type { Json, JsonObject } from "@countersign/protocol";
import { type ActionPolicy, standardScopes } from "../action/action-type.ts";
import type { AddProblem } from "./problem.ts";

type Types = ReadonlyMap<string, ActionPolicy>;

/** Of those allowed, the ones named; all of a sort where its member is left out. */
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
        formatRemedy(known.filter((one) => !isScope(one))),
      );
  for (const scope of scopes ?? [])
    if (!isScope(scope))
      addProblem(
        "scope",
        `${JSON.stringify(scope)} is not an action scope that this agent may be registered for`,
        formatRemedy(known.filter(isScope)),
      );
  const types = [...(details ?? known.filter((one) => !isScope(one))), ...(scopes ?? known.filter(isScope))];
  if (types.length === 0)
    addProblem(
      "authorization_details_types",
      "an agent without action types could ask for nothing",
      formatRemedy(known),
    );
  return types;
}

/** The reverse. Both members are always there, so that what is left out stays out. */
export function toTypeMetadata(types: readonly string[], policies: Types): JsonObject {
  const isScope = (type: string) => policies.get(type)?.scope !== undefined;
  return {
    authorization_details_types: types.filter((type) => !isScope(type)),
    scope: ["openid", ...types.filter(isScope)].join(" "),
  };
}

function readDetails(given: Json | undefined, addProblem: AddProblem): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (Array.isArray(given) && given.every((one) => typeof one === "string")) return [...new Set(given)];
  addProblem("authorization_details_types", "this is not a list of action types", 'write it as ["refund"]');
  return [];
}

function readScopes(given: Json | undefined, addProblem: AddProblem): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string")
    return [...new Set(given.split(" ").filter((one) => one !== "" && !standardScopes.includes(one)))];
  addProblem("scope", "this is not text", "write scopes in one text, with spaces between them");
  return [];
}

function formatRemedy(types: readonly string[]): string {
  return types.length > 0 ? `choose from ${types.join(", ")}` : "none is possible here; leave it out";
}
