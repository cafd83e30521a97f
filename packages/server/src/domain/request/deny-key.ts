/**
 * The latch: a denied action stays denied for the same agent, type and subject, so that neither another wording nor
 * one changed cent asks again. The type names the fields that are its subject. Pure; who may re-open is elsewhere.
 */
import { hashJson, type JsonObject } from "@countersign/protocol";
import type { ActionType } from "../action/action-type.ts";

/** The subject fields of an action, as the type names them. */
export function selectDenyFields(definition: Pick<ActionType, "denyBy">, bound: JsonObject): JsonObject {
  return Object.fromEntries(
    definition.denyBy.flatMap((field) => (field in bound ? [[field, bound[field]!]] : [])),
  );
}

export function computeDenyKey(agent: string, type: string, fields: JsonObject): string {
  return hashJson({ agent, type, subject: fields });
}
