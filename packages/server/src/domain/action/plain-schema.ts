/**
 * Recognizes simple schemas that are valid under the meta-schema of JSON Schema 2020-12, without compiling it: most of
 * those that are declared. True means valid; for any other schema the meta-schema decides and names the fault.
 */
import { isObject, type Json } from "@countersign/protocol";

export function isPlainSchema(schema: Json): boolean {
  return (
    isObject(schema) && Object.entries(schema).every(([keyword, value]) => keywords.get(keyword)?.(value))
  );
}

const isString = (value: Json) => typeof value === "string";
const isNumber = (value: Json) => typeof value === "number";
const isCount = (value: Json) => Number.isSafeInteger(value) && Number(value) >= 0;
const isType = (value: Json) =>
  typeof value === "string" && ["object", "string", "integer", "boolean", "array"].includes(value);
const areNames = (value: Json) =>
  Array.isArray(value) && value.every(isString) && new Set(value).size === value.length;

/** Keywords without those that contain conditions, as a condition can be any schema. */
const keywords = new Map<string, (value: Json) => boolean>([
  ["$comment", isString],
  ["title", isString],
  ["description", isString],
  ["type", isType],
  ["enum", Array.isArray],
  ["const", () => true],
  ["additionalProperties", (value) => typeof value === "boolean"],
  ["properties", (value) => isObject(value) && Object.values(value).every(isPlainSchema)],
  ["required", areNames],
  ["minLength", isCount],
  ["maxLength", isCount],
  ["pattern", isString],
  ["minimum", isNumber],
  ["maximum", isNumber],
  ["exclusiveMinimum", isNumber],
  ["exclusiveMaximum", isNumber],
  ["multipleOf", (value) => typeof value === "number" && value > 0],
  ["items", isPlainSchema],
  ["minItems", isCount],
  ["maxItems", isCount],
  ["uniqueItems", (value) => typeof value === "boolean"],
]);
