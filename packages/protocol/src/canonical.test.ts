import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { canonicalize } from "./canonical.ts";
import { type Json, parseJson } from "./json.ts";

// The examples published with RFC 8785 (json-canonicalization, testdata) whose numbers are in the subset.
const published: { [name: string]: [source: string, canonical: string] } = {
  arrays: ['[56, {"d": true, "10": null, "1": [ ]}]', '[56,{"1":[],"10":null,"d":true}]'],
  french: [
    '{"peach": "This sorting order", "péché": "is wrong according to French", "pêche": "but canonicalization MUST", "sin": "ignore locale"}',
    '{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST","sin":"ignore locale"}',
  ],
  structures: [
    '{"1": {"f": {"f": "hi","F": 5} ,"\\n": 56}, "10": { }, "": "empty", "a": { }, "111": [ { } ], "A": { }}',
    '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}',
  ],
  unicode: ['{"Unnormalized Unicode":"A\\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'],
  escaping: [
    '{"escaping": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}',
    '{"escaping":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/","literals":[null,true,false]}',
  ],
  weird: [
    '{"\\u20ac": "Euro Sign", "\\r": "Carriage Return", "1": "One", "\\u0080": "Control\\u007f", "\\ud83d\\ude02": "Smiley", "\\u00f6": "Latin Small Letter O With Diaeresis", "\\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}',
    '{"\\r":"Carriage Return","1":"One","</script>":"Browser Challenge","\u0080":"Control\u007f","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","\ud83d\ude02":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
  ],
};

describe("RFC 8785 examples", () => {
  for (const [name, [source, canonical]] of Object.entries(published)) {
    test(`writes the published example "${name}" as in RFC 8785`, () => {
      const parsed = parseJson(source);
      assert.ok("value" in parsed);
      assert.equal(canonicalize(parsed.value), canonical);
    });
  }
});

describe("canonicalize", () => {
  test("escapes every control character as in RFC 8785, and no other character", () => {
    const controls = Array.from({ length: 32 }, (_, code) => String.fromCharCode(code));
    const short: { [code: number]: string } = { 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r" };
    for (const [code, control] of controls.entries()) {
      const spelled = short[code] ?? `\\u${code.toString(16).padStart(4, "0")}`;
      assert.equal(canonicalize(`a${control}`), `"a${spelled}"`);
    }
    assert.equal(
      canonicalize("\u007f\u0080\u2028\u2029\ufeff/<\ue000"),
      '"\u007f\u0080\u2028\u2029\ufeff/<\ue000"',
    );
  });

  test("writes minus zero as zero (RFC 8785 §3.2.2.3)", () => {
    assert.equal(canonicalize([-0, 0]), "[0,0]");
  });

  test("rejects values outside the subset with their path", () => {
    const cycle: { [key: string]: Json } = {};
    cycle.self = cycle;
    const faults: [unknown, RegExp][] = [
      [{ lines: [{ cents: 1 }, { cents: 1.5 }] }, /\$\.lines\[1\]\.cents is not a safe integer/],
      [{ n: Number.NaN }, /\$\.n is not a safe integer/],
      [{ n: 2 ** 53 }, /\$\.n is not a safe integer/],
      [Number.POSITIVE_INFINITY, /\$ is not a safe integer/],
      [{ a: ["\ud800"] }, /\$\.a\[0\] contains a lone surrogate/],
      [{ a: { "\udc00": 1 } }, /\$\.a\['\?'\] contains a lone surrogate/],
      [{ a: undefined }, /\$\.a is not JSON/],
      [Object.assign([1], { 2: 3 }), /\$\[1\] is not JSON/],
      [{ at: new Date(0) }, /\$\.at is not JSON/],
      [{ f: () => 1 }, /\$\.f is not JSON/],
      [{ big: 1n }, /\$\.big is not JSON/],
      [{ bytes: new Uint8Array(1) }, /\$\.bytes is not JSON/],
      [{ set: new Map() }, /\$\.set is not JSON/],
      [{ "a key": undefined }, /\$\['a key'\] is not JSON/],
    ];
    for (const [value, message] of faults)
      assert.throws(() => canonicalize(value as Json), { name: "TypeError", message });
    assert.throws(() => canonicalize(cycle), RangeError);
  });

  test("ignores members of the prototype, and accepts an object without one", () => {
    assert.equal(canonicalize(Object.assign(Object.create(null), { b: 1, a: 2 })), '{"a":2,"b":1}');
    class Sum {
      amount = 1;
    }
    assert.throws(() => canonicalize(new Sum() as unknown as Json), /\$ is not JSON/);
  });

  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", maxDepth: 8 },
      fc.constantFrom(null, true, false),
      fc.maxSafeInteger(),
      fc.string({ unit: "binary" }),
      fc.array(tie("value")),
      fc.dictionary(
        fc.string({ unit: "binary" }).filter((key) => key !== "__proto__"),
        tie("value"),
        { noNullPrototype: true },
      ),
    ),
  }));

  test("returns JSON of the same value, which is its own canonical form", () => {
    fc.assert(
      fc.property(value, (each) => {
        const canonical = canonicalize(each);
        assert.deepEqual(JSON.parse(canonical), each);
        assert.equal(canonicalize(JSON.parse(canonical) as Json), canonical);
      }),
    );
  });

  test("ignores the order in which members were set", () => {
    const members = fc.uniqueArray(fc.tuple(fc.string({ unit: "binary" }), fc.maxSafeInteger()), {
      selector: ([key]) => key,
    });
    fc.assert(
      fc.property(
        members.chain((each) =>
          fc.tuple(fc.constant(each), fc.shuffledSubarray(each, { minLength: each.length })),
        ),
        ([one, other]) => {
          assert.equal(canonicalize(Object.fromEntries(one)), canonicalize(Object.fromEntries(other)));
        },
      ),
    );
  });
});
