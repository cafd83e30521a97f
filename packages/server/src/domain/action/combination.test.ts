import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Combinable, findNotCombinable } from "./combination.ts";

function joinable(
  type: string,
  combinableWith: readonly string[],
  audience = "https://one.example",
): Combinable {
  return { combinableWith, definition: { type, audience } };
}

describe("findNotCombinable", () => {
  test("refuses to combine types by default", () => {
    const refund = joinable("refund", []);
    assert.equal(findNotCombinable([refund]), undefined);
    assert.deepEqual(findNotCombinable([refund, refund]), [0, 1]);
    assert.deepEqual(findNotCombinable([refund, joinable("notify", ["refund"])]), [0, 1]);
    assert.deepEqual(findNotCombinable([joinable("notify", ["refund"]), refund]), [0, 1]);
  });

  test("allows types that name each other, and repetition of a type that names itself", () => {
    const refund = joinable("refund", ["notify"]);
    const notify = joinable("notify", ["refund", "notify"]);
    assert.equal(findNotCombinable([refund, notify]), undefined);
    assert.equal(findNotCombinable([notify, refund, notify]), undefined);
    assert.deepEqual(findNotCombinable([refund, notify, refund]), [0, 2]);
  });

  test("is not transitive and does not combine APIs", () => {
    const [a, b, c] = [joinable("a", ["b"]), joinable("b", ["a", "c"]), joinable("c", ["b"])];
    assert.equal(findNotCombinable([a, b]), undefined);
    assert.deepEqual(findNotCombinable([a, b, c]), [0, 2]);
    assert.deepEqual(findNotCombinable([a, joinable("b", ["a"], "https://other.example")]), [0, 1]);
  });

  test("does not depend on the order", () => {
    const names = ["a", "b", "c"] as const;
    const rules = fc.record({
      a: fc.subarray([...names]),
      b: fc.subarray([...names]),
      c: fc.subarray([...names]),
    });
    const asked = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(rules, asked, (declared, types) => {
        const together = types.map((type) => joinable(type, declared[type]));
        const every = types.every((one, i) =>
          types.every(
            (other, j) => i === j || (declared[one].includes(other) && declared[other].includes(one)),
          ),
        );
        assert.equal(findNotCombinable(together) === undefined, every);
        assert.equal(findNotCombinable(together.toReversed()) === undefined, every);
      }),
    );
  });
});
