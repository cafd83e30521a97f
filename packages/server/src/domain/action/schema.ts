/**
 * Fields of an action type: a closed subset of JSON Schema 2020-12 that can be displayed on a card. One object without
 * undeclared members; each field is a string, an integer, a boolean or a list of those, of bounded size.
 */
import { getErrorMessage, isObject, type Json, type JsonObject } from "@countersign/protocol";
import { Ajv2020, type ErrorObject, type Options } from "ajv/dist/2020.js";
import { isPlainSchema } from "./plain-schema.ts";

/** `path` is spelled as in the configuration file, from the action type on: ["display", "rows", 0, "field"]. */
export type DeclarationProblem = {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly remedy: string;
};

export type FieldKind = "string" | "integer" | "boolean" | "list";

/** The fields of a schema. `required` lists those that are always present. */
export type Fields = {
  readonly kinds: ReadonlyMap<string, FieldKind>;
  readonly required: ReadonlySet<string>;
};

/** A fault in one field. `path` starts at the fields: ["amount"], ["to", 2]. `why` is error text. */
export type FieldFault = { readonly path: readonly (string | number)[]; readonly why: string };

/** Maximum length of a text on a card, in code points. */
export const maxTextCodePoints = 4000;

/** Maximum number of items of a list on a card. */
const maxListItems = 1000;

const rootKeywords = [
  ...["$comment", "title", "description", "type", "additionalProperties", "properties", "required"],
  ...["dependentRequired", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"],
];
const commonKeywords = ["$comment", "title", "description", "type", "enum", "const"];
const fieldKeywords: { readonly [kind in FieldKind]: readonly string[] } = {
  string: [...commonKeywords, "minLength", "maxLength", "pattern"],
  integer: [...commonKeywords, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: commonKeywords,
  list: [...commonKeywords, "items", "minItems", "maxItems", "uniqueItems"],
};

/** Reads the declared fields. Returns everything that cannot be displayed or bound. */
export function readSchema(
  schema: JsonObject,
): Fields & { readonly problems: readonly DeclarationProblem[] } {
  const problems: DeclarationProblem[] = [];
  const kinds = new Map<string, FieldKind>();
  const addProblem = (path: DeclarationProblem["path"], message: string, remedy: string) =>
    problems.push({ path: ["schema", ...path], message, remedy });

  if (getOwn(schema, "type") !== "object")
    addProblem(["type"], "the type of the schema is not object", "write type: object");
  if (getOwn(schema, "additionalProperties") !== false)
    addProblem(
      ["additionalProperties"],
      "the schema allows undeclared fields",
      "write additionalProperties: false",
    );
  for (const keyword of Object.keys(schema))
    if (!rootKeywords.includes(keyword))
      addProblem(
        [keyword],
        `the keyword ${keyword} is not supported here`,
        `use only ${rootKeywords.join(", ")}`,
      );

  const properties = getOwn(schema, "properties");
  if (!isObject(properties))
    addProblem(
      ["properties"],
      "the schema declares no fields",
      "write properties: with a schema for each field",
    );
  for (const [name, field] of isObject(properties) ? Object.entries(properties) : []) {
    const path = ["properties", name];
    if (!/^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name) || name in Object.prototype || name === "type")
      addProblem(
        path,
        "invalid field name",
        "use a letter, then letters, digits and underscores, 64 at most, and not `type`, which names the action type",
      );
    const kind = isObject(field) ? kindOf(field) : undefined;
    kinds.set(name, kind ?? "string");
    if (!isObject(field) || kind === undefined) {
      addProblem(
        path,
        "a field is a string, an integer, a boolean or an array of one of these; objects inside an action are not supported",
        "write type: with one of these; a decimal is a string, and what is nested becomes fields of its own",
      );
      continue;
    }
    checkField(field, kind, path, addProblem);
  }

  const required = getOwn(schema, "required") ?? [];
  const names = Array.isArray(required) ? required.filter((name) => typeof name === "string") : [];
  for (const [i, name] of names.entries())
    if (!kinds.has(name))
      addProblem(["required", i], `no field is called ${name}`, `declare it: ${listFields(kinds)}`);
  checkValues(schema, [], addProblem);
  return { kinds, required: new Set(names), problems };
}

/** Compiles a schema in which `readSchema` found no problem. Values are not coerced, defaulted or removed. */
export function compileSchema(
  schema: JsonObject,
):
  | { readonly validate: (fields: unknown) => FieldFault | undefined }
  | { readonly problems: readonly DeclarationProblem[] } {
  const ajv = isPlainSchema(schema) ? getPlainAjv() : getFullAjv();
  if (!ajv.validateSchema(schema)) {
    const problems = (ajv.errors ?? []).map((error) => ({
      path: ["schema", ...parseJsonPointer(error.instancePath)],
      message: `this is not valid JSON Schema: it ${error.message}`,
      remedy: "see https://json-schema.org/draft/2020-12",
    }));
    return { problems };
  }
  try {
    const check = ajv.compile(schema);
    return {
      validate: (fields) => (check(fields) ? findUnsafeInteger(fields) : toFieldFault(check.errors?.[0])),
    };
  } catch (error) {
    const message = `this schema cannot be used: ${getErrorMessage(error)}`;
    return {
      problems: [{ path: ["schema"], message, remedy: "correct or remove the keyword that it names" }],
    };
  }
}

/** `ownProperties`: an inherited field, like `constructor`, counts as missing. */
const options: Options = { strict: true, strictTypes: true, ownProperties: true, logger: false };

/** Skips validation against the meta-schema, whose compilation takes a tenth of a second. */
const getPlainAjv = memoize(() => new Ajv2020({ ...options, meta: false, validateSchema: false }));
const getFullAjv = memoize(() => new Ajv2020(options));

function memoize<T>(make: () => T): () => T {
  let cached: T | undefined;
  return () => (cached ??= make());
}

function kindOf(field: JsonObject): FieldKind | undefined {
  const type = getOwn(field, "type");
  if (type === "string" || type === "integer" || type === "boolean") return type;
  if (type !== "array") return undefined;
  const items = getOwn(field, "items");
  const item = isObject(items) ? kindOf(items) : undefined;
  return item === undefined || item === "list" ? undefined : "list";
}

type AddProblem = (path: DeclarationProblem["path"], message: string, remedy: string) => void;

function checkField(
  field: JsonObject,
  kind: FieldKind,
  path: readonly string[],
  addProblem: AddProblem,
): void {
  for (const keyword of Object.keys(field))
    if (!fieldKeywords[kind].includes(keyword))
      addProblem(
        [...path, keyword],
        `the keyword ${keyword} is not supported for this field`,
        `use only ${fieldKeywords[kind].join(", ")}`,
      );
  if (kind === "list") {
    const max = getOwn(field, "maxItems");
    if (typeof max !== "number" || max > maxListItems)
      addProblem(path, "the length of this list has no limit", `add maxItems, ${maxListItems} at most`);
    const items = getOwn(field, "items");
    if (isObject(items)) checkField(items, kindOf(items) ?? "string", [...path, "items"], addProblem);
  }
  if (kind === "string" && !isBounded(field))
    addProblem(
      path,
      "the length of this text has no limit",
      `add maxLength, ${maxTextCodePoints} at most, or an enum, a const or a pattern from ^ to $`,
    );
}

function isBounded(field: JsonObject): boolean {
  const max = getOwn(field, "maxLength");
  if (typeof max === "number") return max <= maxTextCodePoints;
  const pattern = getOwn(field, "pattern");
  if (typeof pattern === "string" && pattern.startsWith("^") && pattern.endsWith("$")) return true;
  return Object.hasOwn(field, "enum") || Object.hasOwn(field, "const");
}

/** A value without canonical form can neither be hashed nor compared. */
function checkValues(value: Json, path: readonly (string | number)[], addProblem: AddProblem): void {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    addProblem(
      path,
      "numbers must be integers that JSON represents exactly",
      "use an integer up to 9007199254740991",
    );
  if (typeof value === "string" && !value.isWellFormed())
    addProblem(path, "this text is not well-formed Unicode", "remove the lone surrogate");
  if (Array.isArray(value))
    for (const [i, item] of value.entries()) checkValues(item, [...path, i], addProblem);
  else if (isObject(value))
    for (const [key, member] of Object.entries(value)) checkValues(member, [...path, key], addProblem);
}

function findUnsafeInteger(fields: unknown): FieldFault | undefined {
  for (const [name, value] of Object.entries(fields as JsonObject)) {
    const values = Array.isArray(value) ? value : [value];
    const i = values.findIndex((item) => typeof item === "number" && !Number.isSafeInteger(item));
    if (i >= 0)
      return {
        path: Array.isArray(value) ? [name, i] : [name],
        why: "is beyond the integers that JSON represents exactly; write it as a string",
      };
  }
  return undefined;
}

function toFieldFault(error: ErrorObject | undefined): FieldFault {
  if (!error) return { path: [], why: "does not match the schema of this action type" };
  const { params, keyword } = error;
  const path = parseJsonPointer(error.instancePath);
  if (keyword === "required" || keyword === "dependentRequired")
    return { path: [...path, String(params.missingProperty)], why: "is required" };
  if (keyword === "additionalProperties")
    return { path: [...path, String(params.additionalProperty)], why: "is not declared by this action type" };
  if (keyword === "pattern") return { path, why: "does not match the pattern declared for it" };
  return { path, why: error.message ?? "does not match the schema of this action type" };
}

/** Splits a JSON pointer. A step of digits is an index, as field names do not begin with a digit. */
function parseJsonPointer(path: string): (string | number)[] {
  const steps = path.split("/").slice(1);
  return steps.map((step) =>
    /^\d+$/.test(step) ? Number(step) : step.replaceAll("~1", "/").replaceAll("~0", "~"),
  );
}

function listFields(kinds: ReadonlyMap<string, FieldKind>): string {
  return `the schema's fields are ${[...kinds.keys()].join(", ") || "none"}`;
}

function getOwn(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
