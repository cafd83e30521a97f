import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hashJson, type Json, type JsonObject } from "@countersign/protocol";
import { createPolicy, refundDeclaration, refundFields } from "@countersign/testing/audit/action-fixture";
import { buildActionPolicy } from "./build.ts";
import type { Declaration } from "./declaration.ts";
import type { DeclarationProblem } from "./schema.ts";

function problemsOf(change: Partial<Declaration>): readonly DeclarationProblem[] {
  const built = buildActionPolicy({ ...refundDeclaration, ...change });
  return "problems" in built ? built.problems : [];
}

/** Returns the only problem, as "path: message". */
function problem(change: Partial<Declaration>): string {
  const problems = problemsOf(change);
  assert.equal(problems.length, 1, JSON.stringify(problems, null, 2));
  assert.ok(problems[0]!.remedy.length > 0);
  return `${problems[0]!.path.join(".")}: ${problems[0]!.message}`;
}

/** Returns refundDeclaration with the schema of one field changed or added. */
function withField(name: string, field: Json): Partial<Declaration> {
  const { properties } = refundDeclaration.schema;
  return { schema: { ...refundDeclaration.schema, properties: { ...properties, [name]: field } } };
}

function withRow(change: { [key: string]: unknown } & { field: string }): Partial<Declaration> {
  const rows = refundDeclaration.rows.map((row) =>
    row.field === change.field ? { ...row, ...change } : row,
  );
  return { rows: rows as Declaration["rows"] };
}

describe("action type", () => {
  test("applies cautious defaults", () => {
    const { definition, lifetimeSeconds, tokenLifetimeSeconds } = createPolicy();
    assert.equal(definition.reversibility, "irreversible");
    assert.equal(definition.level, "passkey-signed");
    assert.deepEqual(lifetimeSeconds, { default: 120, max: 600 });
    assert.equal(tokenLifetimeSeconds, 60);
    const { denyBy, ...whole } = refundDeclaration;
    assert.deepEqual(denyBy, ["order"]);
    assert.deepEqual(createPolicy(whole).definition.denyBy, refundDeclaration.bound);
  });

  test("hashes everything that is published and nothing else", () => {
    const { hash, definition } = createPolicy();
    assert.equal(hash, hashJson(definition as unknown as Json));
    const changes: Partial<Declaration>[] = [
      { type: "other" },
      { audience: "https://other.example" },
      withField("order", { type: "string", maxLength: 41 }),
      {
        bound: refundDeclaration.bound.filter((name) => name !== "parcels"),
        advisory: ["reason", "parcels"],
      },
      { denyBy: ["customer"] },
      { sentence: "Refund {amount}" },
      withRow({ field: "order", label: "Order number" }),
      { reversibility: "external" },
      { level: "session" },
    ];
    const hashes = changes.map((change) => createPolicy({ ...refundDeclaration, ...change }).hash);
    assert.equal(new Set([hash, ...hashes]).size, changes.length + 1);
    const around: Declaration = {
      ...refundDeclaration,
      approvers: { people: ["bob@example.com"], groups: [] },
      lifetimeSeconds: { default: 30, max: 30 },
      tokenLifetimeSeconds: 10,
    };
    assert.equal(createPolicy(around).hash, hash);
  });

  test("freezes the policy deeply, and not the declaration", () => {
    const schema = { ...refundDeclaration.schema, properties: { ...refundDeclaration.schema.properties } };
    const rule = createPolicy({ ...refundDeclaration, schema });
    assert.throws(() => Object.assign(rule.definition.schema.properties as object, { more: {} }), TypeError);
    assert.throws(() => Object.assign(rule.definition.rows[0]!, { label: "" }), TypeError);
    Object.assign(schema.properties, { more: {} });
  });

  test("rejects a bound field that is not displayed", () => {
    const rows = refundDeclaration.rows.filter((row) => row.field !== "parcels");
    assert.equal(problem({ rows }), "bound.5: the bound field parcels is not displayed");
  });

  test("rejects a currency whose amount may be missing", () => {
    const optional = { ...refundDeclaration.schema, required: ["order", "customer", "currency"] };
    const change = { schema: optional, sentence: "Refund order {order}" };
    assert.equal(problem(change), "bound.3: the bound field currency is not displayed");
    const row = { label: "Currency", field: "currency", as: "text" } as const;
    assert.deepEqual(problemsOf({ ...change, rows: [...refundDeclaration.rows, row] }), []);
  });

  test("rejects an advisory field that is not displayed (T16)", () => {
    const rows = refundDeclaration.rows.filter((row) => row.field !== "reason");
    assert.equal(problem({ rows }), "advisory.0: the advisory field reason is not displayed");
  });

  test("rejects a field that is bound and advisory, or neither", () => {
    assert.equal(
      problem({ bound: [...refundDeclaration.bound, "reason"] }),
      "schema.properties.reason: reason is both bound and advisory",
    );
    assert.match(
      problem({ ...withField("note", { type: "string", maxLength: 9 }) }),
      /^schema\.properties\.note: note is neither/,
    );
  });

  test("rejects names of unknown fields, with their path", () => {
    assert.equal(
      problem({ bound: [...refundDeclaration.bound, "nope"] }),
      "bound.6: no field is called nope",
    );
    assert.equal(problem({ advisory: ["reason", "nope"] }), "advisory.1: no field is called nope");
    assert.equal(problem({ denyBy: ["nope"] }), "deny_by.0: no field is called nope");
    const row = { label: "Nope", field: "nope", as: "text" } as const;
    assert.equal(
      problem({ rows: [...refundDeclaration.rows, row] }),
      "display.rows.6.field: no field is called nope",
    );
    const schema = { ...refundDeclaration.schema, required: [...refundDeclaration.schema.required, "nope"] };
    assert.equal(problem({ schema }), "schema.required.4: no field is called nope");
  });

  test("rejects repeated names and repeated rows", () => {
    assert.equal(problem({ denyBy: ["order", "order"] }), "deny_by.1: order is listed twice");
    const rows = [...refundDeclaration.rows, refundDeclaration.rows[2]];
    assert.equal(problem({ rows }), "display.rows.6.field: order already has a row");
  });

  test("rejects a deny_by field that is not bound", () => {
    assert.equal(problem({ denyBy: ["reason"] }), "deny_by.0: reason is not bound");
  });

  test("rejects a deny_by field that the agent may omit (T25)", () => {
    const required = refundDeclaration.schema.required.filter((name) => name !== "order");
    const schema = { ...refundDeclaration.schema, required };
    const problems = problemsOf({ schema, denyBy: ["order"] }).map(({ path }) => path.join("."));
    assert.ok(problems.includes("deny_by.0"), problems.join());
  });

  test("rejects a schema that allows undeclared fields (T14)", () => {
    const { additionalProperties, ...open } = refundDeclaration.schema;
    assert.equal(additionalProperties, false);
    const through = "schema.additionalProperties: the schema allows undeclared fields";
    assert.equal(problem({ schema: open }), through);
    assert.equal(problem({ schema: { ...open, additionalProperties: { type: "string" } } }), through);
    const pattern = { ...refundDeclaration.schema, patternProperties: { "^x": { type: "string" } } };
    assert.match(problem({ schema: pattern }), /^schema\.patternProperties: the keyword patternProperties/);
    assert.match(
      problem({ schema: { ...refundDeclaration.schema, $async: true } }),
      /^schema\.\$async: the keyword/,
    );
  });

  test("accepts strings, integers, booleans and lists of them as fields", () => {
    const message = /^schema\.properties\.parcels: a field is a string, an integer, a boolean or an array/;
    const unfit: Json[] = [
      { type: "number" },
      { type: "object" },
      { type: ["integer", "null"] },
      { type: "array", maxItems: 3 },
      { type: "array", maxItems: 3, items: { type: "object" } },
      { type: "array", maxItems: 3, items: { type: "array", items: { type: "integer" }, maxItems: 3 } },
      { $ref: "#/properties/order" },
      "integer",
    ];
    for (const field of unfit) {
      const [first] = problemsOf(withField("parcels", field));
      assert.match(`${first?.path.join(".")}: ${first?.message}`, message);
    }
    const tuple = { type: "array", maxItems: 3, items: { type: "string", maxLength: 3 }, prefixItems: [{}] };
    assert.match(
      problem(withField("copies", tuple)),
      /^schema\.properties\.copies\.prefixItems: the keyword/,
    );
  });

  test("rejects a text of unbounded length", () => {
    const unbounded = /the length of this text has no limit$/;
    assert.match(problem(withField("order", { type: "string" })), unbounded);
    assert.match(problem(withField("order", { type: "string", maxLength: 4001 })), unbounded);
    assert.match(problem(withField("order", { type: "string", pattern: "[A-Z]{3}" })), unbounded);
    assert.match(problem(withField("reason", { type: "string" })), unbounded);
    const list = { type: "array", items: { type: "string" }, maxItems: 5 };
    assert.match(
      problem(withField("copies", list)),
      /^schema\.properties\.copies\.items: the length of this text has no limit$/,
    );
    const bounds: JsonObject[] = [
      { enum: ["A"] },
      { const: "A" },
      { pattern: "^[A-Z]{3}$" },
      { maxLength: 1 },
    ];
    for (const bound of bounds)
      assert.deepEqual(problemsOf(withField("order", { type: "string", ...bound })), []);
  });

  test("rejects a list of unbounded length", () => {
    const list = { type: "array", items: { type: "string", maxLength: 5 } };
    assert.match(problem(withField("copies", list)), /the length of this list has no limit$/);
  });

  test("rejects field names that JavaScript objects or details already have", () => {
    for (const name of ["constructor", "toString", "type", "a-b", "1st", "a".repeat(65)])
      assert.match(`${problemsOf(withField(name, { type: "integer" }))[0]?.message}`, /^invalid field name$/);
  });

  test("rejects values without a canonical form, with their path", () => {
    assert.equal(
      problem(withField("parcels", { type: "integer", multipleOf: 0.5 })),
      "schema.properties.parcels.multipleOf: numbers must be integers that JSON represents exactly",
    );
    assert.match(
      problem(withField("order", { type: "string", enum: ["\ud800"] })),
      /^schema\.properties\.order\.enum\.0: this text is not well-formed/,
    );
  });

  test("rejects a schema that ajv does not accept, with its message", () => {
    assert.match(
      problem(withField("order", { type: "string", maxLength: -1 })),
      /maxLength.*not valid JSON Schema/,
    );
    assert.match(
      problem(withField("order", { type: "string", pattern: "^($" })),
      /cannot be used.*regular expression/i,
    );
    assert.match(
      problem({ schema: { ...refundDeclaration.schema, not: { what: 1 } } }),
      /unknown keyword: "what"/,
    );
  });

  test("rejects a format that does not fit the type of its field", () => {
    assert.match(
      problem(withRow({ field: "copies", as: "money-minor", currency: "currency" })),
      /copies is a list/,
    );
    assert.match(
      problem(withRow({ field: "order", as: "duration" })),
      /^display\.rows\.2\.as: order is a string/,
    );
    assert.match(
      problem(withRow({ field: "copies", as: "text" })),
      /copies is a list, which cannot be shown as text$/,
    );
    assert.match(problem(withField("parcels", { type: "boolean" })), /parcels is a boolean/);
  });

  test("requires minor units for money in a number (T13)", () => {
    assert.match(
      problem(withField("amount", { type: "integer" })),
      /amount is an integer, which cannot be shown as money$/,
    );
    const { sentence, ...rest } = { ...refundDeclaration, ...withField("amount", { type: "integer" }) };
    assert.deepEqual(
      problemsOf({ ...rest, sentence, ...withRow({ field: "amount", as: "money-minor" }) }),
      [],
    );
  });

  test("requires a bound, required currency for money, and for nothing else", () => {
    const bare = { label: "Amount", field: "amount", as: "money" } as const;
    const rows = [
      bare,
      ...refundDeclaration.rows.slice(1),
      { label: "Currency", field: "currency", as: "text" } as const,
    ];
    assert.equal(problem({ rows }), "display.rows.0: money without a currency");
    const message = /^display\.rows\.0\.currency: \w+ is not a bound, required text field$/;
    const both = [...rows.slice(1)];
    for (const currency of ["reason", "parcels", "copies", "nope"])
      assert.match(problem({ rows: [{ ...bare, currency }, ...both] }), message);
    assert.match(problem(withRow({ field: "order", currency: "currency" })), /only money has a currency$/);
    assert.match(problem(withRow({ field: "order", unit: "kg" })), /only a quantity has a unit$/);
  });

  test("requires fields of the sentence to be bound, required and in a row", () => {
    assert.match(problem({ sentence: "Refund {nope}" }), /\{nope\} is not a bound field$/);
    assert.match(problem({ sentence: "Refund because {reason}" }), /\{reason\} is not a bound field$/);
    assert.match(problem({ sentence: "Refund in {currency}" }), /\{currency\} has no row/);
    assert.match(problem({ sentence: "Refund {parcels}" }), /\{parcels\} is optional/);
    for (const sentence of ["Refund {order", "Refund order}", "Refund {{order}}"])
      assert.match(problem({ sentence }), /braces of this sentence do not match$/);
  });

  test("rejects invisible characters in the operator's texts (T15)", () => {
    for (const sentence of [
      "",
      "Refund\u200b {order}",
      "Refund {order}\n",
      " Refund {order}",
      "R".repeat(201),
    ])
      assert.match(problem({ sentence }), /^display\.sentence: this cannot be displayed on a card/);
    assert.match(
      problem(withRow({ field: "order", label: "Or\u202eder" })),
      /^display\.rows\.2\.label: this cannot/,
    );
    assert.match(problem(withRow({ field: "parcels", unit: "" })), /^display\.rows\.4\.unit: this cannot/);
  });

  test("rejects a policy that names no approver (T27)", () => {
    assert.equal(
      problem({ approvers: { people: [], groups: [] } }),
      "approvers: no approvers are configured for this action",
    );
    const owner = { field: "order", of: {} };
    assert.match(
      problem({ approvers: { people: [], groups: [], owner } }),
      /^approvers\.owner\.of: no value/,
    );
  });

  test("rejects an owner field that is not bound (T8)", () => {
    for (const field of ["reason", "nope", "parcels", "copies"]) {
      const owner = { field, of: { a: "ada@example.com" } };
      assert.match(
        problem({ approvers: { people: [], groups: [], owner } }),
        /^approvers\.owner\.field: \w+ is not a/,
      );
    }
  });

  test("checks the limits of lifetimes, and that the default is within the maximum", () => {
    assert.match(problem({ tokenLifetimeSeconds: 301 }), /^token_lifetime: /);
    assert.match(problem({ tokenLifetimeSeconds: 0 }), /^token_lifetime: /);
    assert.deepEqual(problemsOf({ tokenLifetimeSeconds: 300 }), []);
    assert.match(
      problem({ lifetimeSeconds: { default: 601, max: 600 } }),
      /^lifetime\.default: the default of 601 s is beyond the maximum of 600 s$/,
    );
    assert.match(problem({ lifetimeSeconds: { default: 9, max: 600 } }), /^lifetime\.default: /);
    assert.match(problem({ lifetimeSeconds: { default: 60, max: 604_801 } }), /^lifetime\.max: /);
  });

  test("builds a scope as an action without fields and with a fixed sentence", () => {
    const schema = { type: "object", additionalProperties: false, properties: {} };
    const scope = { type: "export", scope: "export", schema, bound: [], rows: [], advisory: [], denyBy: [] };
    assert.equal(createPolicy({ ...refundDeclaration, ...scope, sentence: "Export it all" }).scope, "export");
    assert.match(problem({ ...scope, sentence: "Export {order}" }), /^sentence: a scope has no fields/);
  });

  test("returns all problems at once", () => {
    const problems = problemsOf({ sentence: "Refund {nope}", tokenLifetimeSeconds: 900, denyBy: ["reason"] });
    assert.deepEqual(
      problems.map(({ path }) => path[0]),
      ["deny_by", "display", "token_lifetime"],
    );
  });

  test("validates without coercion, defaults, removal or rounding (T13)", () => {
    const { validate } = createPolicy();
    assert.equal(validate({ ...refundFields, parcels: 2 }), undefined);
    assert.deepEqual(validate({ ...refundFields, parcels: "2" }), {
      path: ["parcels"],
      why: "must be integer",
    });
    assert.deepEqual(validate({ ...refundFields, amount: 10000 })?.path, ["amount"]);
    assert.deepEqual(validate({ ...refundFields, parcels: 2 ** 53 })?.path, ["parcels"]);
    assert.deepEqual(validate({ ...refundFields, parcels: 1.5 })?.path, ["parcels"]);
    const list = createPolicy({
      ...refundDeclaration,
      ...withField("copies", { type: "array", items: { type: "integer" }, maxItems: 5 }),
    });
    assert.deepEqual(list.validate({ ...refundFields, copies: [1, 2 ** 53] })?.path, ["copies", 1]);
  });

  test("ignores inherited fields", () => {
    const { order, ...rest } = refundFields;
    assert.deepEqual(createPolicy().validate(Object.assign(Object.create({ order }), rest)), {
      path: ["order"],
      why: "is required",
    });
  });
});
