import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Json, parseJson } from "./json.ts";

const runs = process.env.COUNTERSIGN_LONG ? 200_000 : 3_000;

function refusal(text: string): { refused: string; path: string } {
  const parsed = parseJson(text);
  assert.ok("refused" in parsed, `accepted: ${text}`);
  return parsed;
}

function accepted(text: string): Json {
  const parsed = parseJson(text);
  assert.ok("value" in parsed, `refused: ${text} ${JSON.stringify(parsed)}`);
  return parsed.value;
}

describe("parseJson", () => {
  test("rejects a duplicate key with its path, whatever is between (T14)", () => {
    assert.deepEqual(refusal('{"a":{"amount":10,"to":"x","amount":10000}}'), {
      refused: "duplicate_key",
      path: "$.a.amount",
    });
    assert.deepEqual(accepted('{"a":{"a":1},"b":{"a":1}}'), { a: { a: 1 }, b: { a: 1 } });
  });

  test("rejects a number that JSON.parse would round", () => {
    assert.equal(JSON.parse("9007199254740993"), 9007199254740992);
    assert.deepEqual(refusal("[9007199254740993]"), { refused: "unsafe_number", path: "$[0]" });
    assert.deepEqual(refusal(`[${"9".repeat(400)}]`), { refused: "unsafe_number", path: "$[0]" });
    assert.equal(accepted("9007199254740991"), Number.MAX_SAFE_INTEGER);
    assert.equal(accepted("-9007199254740991"), Number.MIN_SAFE_INTEGER);
  });

  test("accepts only integers in integer notation", () => {
    for (const text of ["1.0", "1e3", "1E3", "0.1", "-0", "-0.0", "1e-1", "0e0"]) {
      assert.equal(refusal(text).refused, "unsafe_number", text);
    }
    for (const text of ["+1", "01", "-01", "-", ".5", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "١"]) {
      assert.equal(refusal(text).refused, "not_json", text);
    }
  });

  test("rejects a lone surrogate, literal or escaped, in a value or a key", () => {
    for (const text of [
      '"\ud800"',
      '"\udc00"',
      '"\\ud800"',
      '"\\uDC00"',
      '"\\ud800x\\udc00"',
      '{"\ud83d":1}',
    ]) {
      assert.equal(refusal(text).refused, "lone_surrogate", JSON.stringify(text));
    }
    for (const text of ['"\ud83d\ude00"', '"\\ud83d\\ude00"', '"\ud83d\\ude00"', '"\\ud83d\ude00"']) {
      assert.equal(accepted(text), "\u{1f600}");
    }
  });

  test("counts arrays and objects alike for the depth limit, and stops at the limit", () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${"}]".repeat(depth / 2)}`;
    assert.ok("value" in parseJson(nested(16)));
    assert.equal(refusal(nested(18)).refused, "too_deep");
    const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
    assert.ok("value" in parseJson(objects(16)));
    assert.equal(refusal(objects(17)).refused, "too_deep");
    assert.equal(refusal("[".repeat(1_000_000)).refused, "too_deep");
    assert.ok("value" in parseJson(`[${"[],".repeat(100)}[]]`), "siblings are not depth");
  });

  test("rejects the key __proto__; other names of Object.prototype are plain members", () => {
    assert.deepEqual(refusal('{"__proto__":{"admin":true}}'), {
      refused: "forbidden_key",
      path: "$.__proto__",
    });
    const value = accepted('{"constructor":1,"hasOwnProperty":2,"toString":3}');
    assert.deepEqual(Object.entries(value as object), [
      ["constructor", 1],
      ["hasOwnProperty", 2],
      ["toString", 3],
    ]);
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal(refusal('{"toString":1,"toString":2}').refused, "duplicate_key");
  });

  test("rejects texts that only resemble JSON", () => {
    const texts = [
      "",
      " ",
      "{",
      "[",
      '"',
      '"\\',
      '"\\"',
      "tru",
      "truex",
      "nul",
      "[1 2]",
      '{"a"}',
      '{"a":}',
      "{,}",
      "[,]",
    ];
    texts.push(
      "{a:1}",
      '{"a":1,}',
      "[1]]",
      "{}{}",
      "\u00a01",
      "1\u2028",
      '"\t"',
      '"\u0000"',
      '"\\u12"',
      '"\\uzzzz"',
      '"\\a"',
    );
    for (const text of texts) {
      assert.throws(() => JSON.parse(text), SyntaxError, text);
      assert.equal(refusal(text).refused, "not_json", text);
    }
  });

  test("rejects control characters in strings, and other white space than that of JSON", () => {
    for (let code = 0; code < 0x20; code++) {
      assert.equal(refusal(`"a${String.fromCharCode(code)}"`).refused, "not_json");
    }
    for (const space of ["\u000b", "\f", "\u00a0", "\u2003", "\u2028", "\ufeff", "\u0000"]) {
      assert.equal(refusal(`[${space}1]`).refused, "not_json");
    }
    assert.equal(accepted(" \t\r\n1 \t\r\n"), 1);
  });

  test("returns paths with characters of an error_description only, whatever the keys", () => {
    const key = fc.string({ unit: "binary", maxLength: 200, size: "max" });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 12 }), (keys) => {
        const text = keys.reduceRight((inner, each) => `{${JSON.stringify(each)}:${inner}}`, "1.5");
        const { path } = refusal(text);
        assert.match(path, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
        assert.ok(path.length <= 1 + keys.length * 68);
      }),
    );
  });

  // Nearly valid texts: valid ones with a few characters removed, doubled or replaced.
  const spelling = fc.oneof(
    fc.json({ maxDepth: 4 }),
    fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value, null, 1)),
    fc
      .array(
        fc.constantFrom(
          ...'{}[]:,"\\/ \n\t0123456789-+.eEtrufalsn\u0000\ud83d\ude00é',
          '"a"',
          '"a":',
          '"\\u00',
          "null",
          "-0",
        ),
        { maxLength: 24 },
      )
      .map((parts) => parts.join("")),
  );
  const edit = fc.record({
    at: fc.nat(),
    cut: fc.nat(3),
    put: fc.constantFrom("", '"', ",", "0", "1e1", "\\", "}", "]", ':"a"'),
  });
  const text = fc.tuple(spelling, fc.array(edit, { maxLength: 3 })).map(([spelled, edits]) =>
    edits.reduce((now, { at, cut, put }) => {
      const start = at % (now.length + 1);
      return now.slice(0, start) + put + now.slice(start + cut);
    }, spelled),
  );

  test("returns the value of JSON.parse, and rejects as not_json only what it rejects", () => {
    const seen = { accepted: 0, notJson: 0, other: 0 };
    fc.assert(
      fc.property(text, (each) => {
        const parsed = parseJson(each);
        if ("value" in parsed) {
          seen.accepted++;
          assert.deepEqual(parsed.value, JSON.parse(each));
        } else if (parsed.refused === "not_json") {
          seen.notJson++;
          assert.throws(() => JSON.parse(each), SyntaxError);
        } else seen.other++;
      }),
      { numRuns: runs },
    );
    for (const [kind, count] of Object.entries(seen))
      assert.ok(count > runs / 50, `too few texts were ${kind}: ${count}`);
  });

  test("parses every value of the protocol back, with any indentation", () => {
    const { value } = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small", maxDepth: 15 },
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
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2, "\t"), (each, indent) => {
        assert.deepEqual(accepted(JSON.stringify(each, null, indent)), each);
      }),
      { numRuns: runs / 10 },
    );
  });
});
