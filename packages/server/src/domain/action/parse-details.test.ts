import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createPolicy,
  refundDeclaration,
  refundFields,
  samplePolicies,
} from "@countersign/testing/audit/action-fixture";
import fc from "fast-check";
import type { ActionPolicy } from "./action-type.ts";
import { type DetailsRefusal, parseDetails } from "./parse-details.ts";

function readText(text: string) {
  return parseDetails(text, samplePolicies);
}

function read(fields: object) {
  return readText(JSON.stringify([{ type: "refund", ...refundFields, ...fields }]));
}

/** Returns the refusal as "path why". Fails if the details were accepted. */
function refusal(result: ReturnType<typeof parseDetails>): string {
  assert.ok("refused" in result, "it was accepted");
  assert.equal(result.refused, "invalid_authorization_details");
  return `${result.path} ${result.why}`;
}

describe("parseDetails", () => {
  test("returns policy, bound and advisory fields", () => {
    const result = read({ parcels: 2, copies: ["bob"], reason: "It was late.\nTwice." });
    assert.ok(!("refused" in result));
    assert.equal(result.length, 1);
    assert.equal(result[0]?.policy, samplePolicies.get("refund"));
    assert.deepEqual(result[0]?.bound, { ...refundFields, parcels: 2, copies: ["bob"] });
    assert.deepEqual(result[0]?.advisory, { reason: "It was late.\nTwice." });
  });

  test("does not read numbers from strings (T13)", () => {
    const result = read({ parcels: 9007199254740991 });
    assert.ok(!("refused" in result));
    assert.equal(result[0]?.bound.parcels, 9007199254740991);
    assert.equal(refusal(read({ parcels: "2" })), "$[0].parcels must be integer");
    assert.equal(refusal(read({ amount: 10000 })), "$[0].amount must be string");
  });

  test("refuses an undeclared field with its path (T14)", () => {
    assert.equal(refusal(read({ hidden: 1 })), "$[0].hidden is not declared by this action type");
    assert.equal(
      refusal(read({ "amount\u200b": "1.00" })),
      "$[0]['amount<U+200B>'] is not declared by this action type",
    );
    assert.equal(refusal(read({ constructor: "x" })), "$[0].constructor is not declared by this action type");
  });

  test("refuses a repeated field with its path (T14)", () => {
    const twice = `[{"type":"refund","order":"A-1","customer":"Grace","amount":"1.00","amount":"9.00","currency":"USD"}]`;
    assert.equal(refusal(readText(twice)), "$[0].amount is repeated");
    const type = `[{"type":"refund","type":"refund"}]`;
    assert.equal(refusal(readText(type)), "$[0].type is repeated");
  });

  test("refuses a number that parsing would change, with its path (T14)", () => {
    for (const number of ["9007199254740993", "1.0", "1e3", "-0"]) {
      const text = JSON.stringify([{ type: "refund", ...refundFields, parcels: 7 }]).replace(
        ":7",
        `:${number}`,
      );
      assert.match(
        refusal(readText(text)),
        /^\$\[0\]\.parcels must be an integer that JSON represents exactly/,
      );
    }
  });

  test("refuses a missing field and an invalid value with their path", () => {
    assert.equal(refusal(read({ order: undefined })), "$[0].order is required");
    assert.match(
      refusal(read({ order: "A".repeat(41) })),
      /^\$\[0\]\.order must NOT have more than 40 characters$/,
    );
    assert.match(refusal(read({ copies: ["a", 2] })), /^\$\[0\]\.copies\[1\] must be string$/);
    assert.match(refusal(read({ order: { id: "A-1" } })), /^\$\[0\]\.order must be string$/);
    assert.match(refusal(read({ order: null })), /^\$\[0\]\.order must be string$/);
  });

  test("refuses anything but an array of objects", () => {
    const one = { type: "refund", ...refundFields };
    const texts = ["", "{", "null", JSON.stringify(one), "[]", "[1]", "[[]]", "[null]"];
    for (const text of texts) assert.ok("refused" in readText(text), text);
    assert.match(
      refusal(readText(JSON.stringify([one, one]))),
      /^\$\[1\] must be requested separately: two of 'refund' cannot be combined$/,
    );
  });

  test("refuses an unknown type, quoted", () => {
    assert.equal(
      refusal(readText(`[{"type":"re\\"fund\\u202e"}]`)),
      "$[0].type 're<U+0022>fund<U+202E>' is not an action type of this server",
    );
    for (const type of ["constructor", "__proto__", "Refund", "refund "])
      assert.match(refusal(readText(JSON.stringify([{ type }]))), /is not an action type of this server$/);
    for (const type of [undefined, 1, null, ["refund"]])
      assert.match(refusal(readText(JSON.stringify([{ type }]))), /^\$\[0\]\.type is required/);
  });

  test("refuses a scope as the type of a detail", () => {
    const schema = { type: "object", additionalProperties: false, properties: {} };
    const scope = { type: "export", scope: "export", schema, bound: [], rows: [], advisory: [], denyBy: [] };
    const policies = new Map([
      ["export", createPolicy({ ...refundDeclaration, ...scope, sentence: "Export it all" })],
    ]);
    assert.match(refusal(parseDetails(`[{"type":"export"}]`, policies)), /is requested with scope/);
  });

  test("refuses a bound text with invisible characters, and repairs none (T15)", () => {
    const hostile = [
      ["A\u200b1", "invisible"],
      ["A\u202e1", "invisible"],
      ["A\u00a01", "invisible"],
      ["A\n1", "invisible"],
      ["A\u0000", "invisible"],
      ["\u{e0041}A", "invisible"],
      ["e\u0301", "normalization form C"],
      [" A", "space"],
      ["A  1", "space"],
      [`q${"\u0323".repeat(5)}`, "marks"],
    ] as const;
    for (const [text, why] of hostile) {
      assert.match(refusal(read({ order: text })), new RegExp(`^\\$\\[0\\]\\.order .*${why}`));
      assert.match(
        refusal(read({ copies: ["fine", text] })),
        new RegExp(`^\\$\\[0\\]\\.copies\\[1\\] .*${why}`),
      );
    }
  });

  test("allows line breaks, and nothing invisible, in advisory text (T15)", () => {
    assert.ok(!("refused" in read({ reason: "One.\nTwo." })));
    for (const reason of ["a\u200bb", "a\r\nb", "a\tb", "a\u2028b", "a\u2067b"])
      assert.match(refusal(read({ reason })), /^\$\[0\]\.reason contains an invisible/);
  });

  test("limits a text without declared length", () => {
    const order = { type: "string", pattern: "^A*$" } as const;
    const schema = {
      ...refundDeclaration.schema,
      properties: { ...refundDeclaration.schema.properties, order },
    };
    const policies = new Map([["refund", createPolicy({ ...refundDeclaration, schema })]]);
    const long = JSON.stringify([{ type: "refund", ...refundFields, order: "A".repeat(4001) }]);
    assert.equal(refusal(parseDetails(long, policies)), "$[0].order is too long");
  });

  test("refuses in the alphabet of error_description, for any input", () => {
    const description = (result: ReturnType<typeof parseDetails>) =>
      assert.match(refusal(result), /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
    const text = fc.string({ unit: "binary", maxLength: 30 });
    fc.assert(fc.property(text, (type) => description(readText(JSON.stringify([{ type: `x${type}` }])))));
    fc.assert(fc.property(text, (name) => description(read({ [`x${name}`]: 1 }))));
    fc.assert(fc.property(text, (raw) => description(readText(`x${raw}`) as DetailsRefusal)));
  });

  test("converts the validator's messages to that alphabet", () => {
    const fault = { path: ["amount"], why: 'must match "then" \\ schema\n' };
    const policies = new Map([["refund", { ...createPolicy(), validate: () => fault }]]);
    assert.equal(
      refusal(parseDetails('[{"type":"refund"}]', policies)),
      "$[0].amount must match <U+0022>then<U+0022> <U+005C> schema<U+000A>",
    );
  });

  /** Two types that may be combined with each other and themselves. */
  const joined: ReadonlyMap<string, ActionPolicy> = new Map(
    ["refund", "credit"].map((type) => [
      type,
      createPolicy({ ...refundDeclaration, type, combinableWith: ["refund", "credit"] }),
    ]),
  );

  test("parses several details in order, each by its type", () => {
    const sent = [
      { type: "refund", ...refundFields, reason: "Late" },
      { type: "credit", ...refundFields },
      { type: "refund", ...refundFields, order: "A-2" },
    ];
    const result = parseDetails(JSON.stringify(sent), joined);
    assert.ok(!("refused" in result));
    assert.deepEqual(
      result.map(({ policy, bound, advisory }) => ({ type: policy.definition.type, ...bound, ...advisory })),
      sent,
    );
  });

  test("refuses equal details, also if written differently or with other advisory text", () => {
    const { order, ...rest } = refundFields;
    const turned = { ...rest, order, type: "refund", reason: "Once more" };
    const reason = refusal(
      parseDetails(JSON.stringify([{ type: "refund", ...refundFields }, turned]), joined),
    );
    assert.equal(reason, "$[1] equals an earlier detail");
  });

  test("limits the size and number of details, with the limit in the refusal", () => {
    const details = (count: number, fields = {}) =>
      Array.from({ length: count }, (_, at) => ({
        type: "refund",
        ...refundFields,
        order: `${at}`,
        ...fields,
      }));
    const read = (value: unknown) => parseDetails(JSON.stringify(value), joined);
    assert.ok(!("refused" in read(details(10))));
    assert.equal(refusal(read(details(11))), "$ contains 11 details; a request has 1 to 10");
    assert.equal(refusal(read([])), "$ contains 0 details; a request has 1 to 10");
    const copies = (characters: number) => Array.from({ length: 5 }, () => "\u{1F600}".repeat(characters));
    assert.ok(!("refused" in read(details(6, { copies: copies(60) }))));
    assert.match(
      refusal(read(details(8, { copies: copies(60) }))),
      /^\$ has 10\d{3} bytes of bound fields; a token can contain 8192$/,
    );
    assert.equal(refusal(readText(" ".repeat(32_769))), "$ is longer than 32768 bytes");
    assert.equal(refusal(readText("\u20ac".repeat(10_923))), "$ is longer than 32768 bytes");
  });

  test("refuses any JSON, or returns only declared fields (T14)", () => {
    const declared = new Set<string>([...refundDeclaration.bound, ...refundDeclaration.advisory]);
    const fields = fc.record(
      {
        type: often(["refund", "credit"], ["payout", "__proto__", 1]),
        order: often(["A-1", "A-2", "A-3"], ["", "A\u200b", 7]),
        customer: fc.constant("Grace"),
        amount: often(["1.00", "2.00"], [1, null]),
        currency: often(["USD", "EUR"], ["DOLLARS", ["USD"]]),
        copies: often([[], ["ada"]], [["ada", 1], "ada"]),
        parcels: often([0, 7], [-1, 0.5, "7", 2 ** 60]),
        reason: often(["Late.\nTwice."], ["\u202e", {}]),
      },
      { requiredKeys: ["type", "order", "customer", "amount", "currency"] },
    );
    /** Generates values of the first arbitrary mostly, of the second sometimes. */
    function often(good: readonly unknown[], bad: readonly unknown[]) {
      return fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom(...good) },
        { weight: 1, arbitrary: fc.constantFrom(...bad) },
      );
    }
    const detail = fc
      .tuple(
        fields,
        fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, fc.dictionary(fc.string(), fc.jsonValue())),
      )
      .map(([known, extra]) => ({ ...known, ...extra }));
    const details = fc.oneof(
      { weight: 3, arbitrary: fc.array(detail, { maxLength: 4 }).map((value) => JSON.stringify(value)) },
      fc.json(),
      fc.string(),
      fc.string({ unit: "binary" }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(details, (text) => {
        const result = parseDetails(text, joined);
        if ("refused" in result) {
          assert.match(refusal(result), /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
          return;
        }
        accepted += 1;
        const sent = JSON.parse(text) as { [name: string]: unknown }[];
        assert.deepEqual(
          result.map(({ policy, bound, advisory }) => ({
            type: policy.definition.type,
            ...bound,
            ...advisory,
          })),
          sent,
        );
        for (const one of sent)
          for (const name of Object.keys(one)) assert.ok(name === "type" || declared.has(name), name);
      }),
      { numRuns: 3000, seed: 20261122 },
    );
    assert.ok(accepted > 300, `${accepted} accepted`);
  });
});
