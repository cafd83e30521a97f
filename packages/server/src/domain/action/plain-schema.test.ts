import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json, JsonObject } from "@countersign/protocol";
import { refundDeclaration } from "@countersign/testing/audit/action-fixture";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { isPlainSchema } from "./plain-schema.ts";

const authority = new Ajv2020({ strict: true, logger: false });
const isValid = (schema: Json) => authority.validateSchema(schema as JsonObject) === true;

const value = fc.oneof(
  fc.constantFrom<Json>(null, true, false, -1, 0, 1, 2.5, "", "a", "string", "array", "null", [], ["a"]),
  fc.constantFrom<Json>(["a", "a"], ["a", 1], [{}], {}, { a: true }, { a: { type: "string" } }),
);
const keyword = fc.constantFrom(
  ...["$comment", "title", "description", "type", "enum", "const", "additionalProperties", "properties"],
  ...["required", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "items"],
  ...["exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "allOf", "if", "$ref", "$id"],
  ...["constructor", "__proto__"],
);
const schema = fc.oneof(fc.dictionary(keyword, value, { maxKeys: 2 }), value) as fc.Arbitrary<Json>;

describe("isPlainSchema", () => {
  test("returns true only for schemas that the meta-schema accepts", () => {
    let plain = 0;
    fc.assert(
      fc.property(schema, fc.boolean(), (inner, nested) => {
        const whole = nested ? { type: "object", properties: { field: inner } } : inner;
        if (!isPlainSchema(whole)) return;
        plain += 1;
        assert.ok(isValid(whole), JSON.stringify(whole));
      }),
      { numRuns: 3_000 },
    );
    assert.ok(plain > 100);
  });

  test("returns true for ordinary declarations, and false for conditions", () => {
    assert.ok(isPlainSchema(refundDeclaration.schema));
    assert.ok(!isPlainSchema({ ...refundDeclaration.schema, if: { required: ["order"] } }));
    assert.ok(!isPlainSchema({ type: "string", maxLength: -1 }));
  });
});
