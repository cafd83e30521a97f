/**
 * Denial keys: a denied action stays blocked for the same agent, type and `deny_by` fields, so that rewording it or
 * changing another field does not notify an approver again. Pure.
 */
import { hashJson, type JsonObject } from "@countersign/protocol";
import type { ActionType } from "../action/action-type.ts";

/** Selects the `deny_by` fields of an action. */
export function selectDenyFields(definition: Pick<ActionType, "denyBy">, bound: JsonObject): JsonObject {
  return Object.fromEntries(
    definition.denyBy.flatMap((field) => (field in bound ? [[field, bound[field]!]] : [])),
  );
}

export function computeDenyKey(agent: string, type: string, fields: JsonObject): string {
  return hashJson({ agent, type, subject: fields });
}
