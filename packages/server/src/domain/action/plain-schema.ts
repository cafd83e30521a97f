/**
 * The schemas about which the meta-schema of JSON Schema 2020-12 has nothing to say, seen at a glance: most of those that
 * are declared. A yes is certain; about any other schema, and what is wrong with it, the meta-schema itself is asked.
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

/** Without those that hold conditions: a condition can be any schema. */
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
