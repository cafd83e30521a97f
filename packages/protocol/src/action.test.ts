import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Action, actionDigest, hashJson, partsDigest, shortDigest } from "./action.ts";
import type { Json, JsonObject } from "./json.ts";

const refund: Action = {
  type: "refund",
  typeHash: hashJson({ type: "refund" }),
  audience: "https://api.example.com",
  bound: { payment: "pay_1", amount: 1000000, currency: "USD", to: ["a", "b"] },
};

describe("action digests", () => {
  test("changes with every change after the approval (T9)", () => {
    const changes: Action[] = [
      { ...refund, type: "payout" },
      { ...refund, typeHash: hashJson({ type: "refund", sentence: "Thank the customer" }) },
      { ...refund, audience: "https://api.example.org" },
      { ...refund, bound: { ...refund.bound, amount: 1000001 } },
      { ...refund, bound: { ...refund.bound, to: ["b", "a"] } },
      { ...refund, bound: { ...refund.bound, memo: "" } },
      { ...refund, bound: { payment: "pay_1", amount: 1000000, currency: "USD" } },
    ];
    const digests = [refund, ...changes].map(actionDigest);
    assert.equal(new Set(digests).size, digests.length);
  });

  test("differs if an amount is a string (T13)", () => {
    assert.notEqual(
      actionDigest({ ...refund, bound: { amount: 5 } }),
      actionDigest({ ...refund, bound: { amount: "5" } }),
    );
  });

  test("matches for an honest retry: depends on values only, not on their order (T12)", () => {
    const bound = Object.fromEntries(Object.entries(refund.bound).reverse());
    const retry = {
      bound,
      audience: refund.audience,
      typeHash: refund.typeHash,
      type: "refund",
      note: "in other words",
    };
    assert.equal(actionDigest(retry), actionDigest(refund));
  });

  test("is the same for two actions only if they are equal", () => {
    const bound = fc.dictionary(
      fc.constantFrom("a", "b", "c"),
      fc.oneof(
        fc.integer({ min: -2, max: 2 }),
        fc.constantFrom("0", "1", "", null, true),
        fc.array(fc.integer({ max: 1, min: 0 })),
      ),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(bound, bound, (one, other) => {
        const digestOf = (each: JsonObject) => actionDigest({ ...refund, bound: each });
        let same = true;
        try {
          assert.deepEqual(one, other);
        } catch {
          same = false;
        }
        assert.equal(digestOf(one) === digestOf(other), same);
      }),
    );
  });

  const bounds = fc.dictionary(
    fc.constantFrom("a", "b"),
    fc.oneof(fc.integer({ min: 0, max: 1 }), fc.constantFrom("0", "1", null)),
    { noNullPrototype: true, maxKeys: 2 },
  );
  const someParts = fc.array(
    fc.record({
      type: fc.constantFrom("refund", "notify"),
      typeHash: fc.constantFrom("h1", "h2"),
      bound: bounds,
    }),
    { minLength: 1, maxLength: 3 },
  );

  test("depends on all parts in their order, and on no others (T9)", () => {
    fc.assert(
      fc.property(someParts, someParts, (one, other) => {
        const [a, b] = [one, other].map((parts) => partsDigest("https://api.example.com", parts));
        assert.equal(a === b, JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)));
      }),
      { numRuns: 500 },
    );
    /** Members in one order, so that only values and positions differ. */
    function sorted(parts: readonly { type: string; typeHash: string; bound: JsonObject }[]) {
      return parts.map(({ type, typeHash, bound }) => [type, typeHash, Object.entries(bound).sort()]);
    }
  });

  test("differs if a part is added, omitted, moved, repeated or changed (T9)", () => {
    const { audience, ...part } = refund;
    const less = { ...part, bound: { ...part.bound, amount: 1 } };
    const note = { type: "notify", typeHash: "h", bound: {} };
    const lists = [
      [part],
      [part, part],
      [part, part, part],
      [part, less],
      [less, part],
      [part, note],
      [note, part],
      [note],
      [part, { ...note, typeHash: "i" }],
      [part, { ...note, bound: { text: "" } }],
    ];
    const digests = lists.map((parts) => partsDigest(audience, parts));
    digests.push(partsDigest("https://api.example.org", [part, note]));
    assert.equal(new Set(digests).size, lists.length + 1);
  });

  test("returns one digest for an action of one part, and none for one without parts", () => {
    const { audience, ...part } = refund;
    assert.equal(partsDigest(audience, [part]), actionDigest(refund));
    assert.throws(() => partsDigest(audience, []), TypeError);
    assert.throws(
      () => partsDigest(audience, [part, { ...part, bound: { amount: 1.5 } }]),
      /\$\.parts\[1\]\.bound\.amount/,
    );
  });

  test("rejects a bound value that is not JSON", () => {
    for (const amount of [undefined, 10.5, 2 ** 53, Number.NaN, new Date(0)]) {
      assert.throws(
        () => actionDigest({ ...refund, bound: { amount: amount as Json } }),
        /\$\.bound\.amount/,
      );
    }
    assert.throws(() => actionDigest({ ...refund, bound: undefined as unknown as JsonObject }), /\$\.bound/);
  });

  test("has 43 characters of base64url", () => {
    assert.match(actionDigest(refund), /^[A-Za-z0-9_-]{43}$/);
  });

  test("shortens a digest to its first 60 bits, without bit 61", () => {
    const digest = (...bytes: number[]) =>
      Buffer.concat([Buffer.from(bytes), Buffer.alloc(32 - bytes.length)]).toString("base64url");
    assert.equal(shortDigest(digest()), "0000-0000-0000");
    assert.equal(shortDigest(digest(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), "ZZZZ-ZZZZ-ZZZZ");
    assert.equal(shortDigest(digest(0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6)), "0123-4567-89AB");
    assert.equal(shortDigest(digest(0, 0, 0, 0, 0, 0, 0, 0x10)), "0000-0000-0001");
    assert.equal(shortDigest(digest(0, 0, 0, 0, 0, 0, 0, 0x0f)), "0000-0000-0000");
    assert.doesNotMatch(shortDigest(actionDigest(refund)), /[ILOU]/);
  });

  test("shortens only a digest", () => {
    const digest = actionDigest(refund);
    for (const text of [
      "",
      digest.slice(1),
      `${digest}A`,
      `${digest}=`,
      digest.replace(/^./, "+"),
      ` ${digest}`,
    ]) {
      assert.throws(() => shortDigest(text), TypeError, text);
    }
  });
});
