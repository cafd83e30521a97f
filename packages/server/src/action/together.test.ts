import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { apart, type Joinable } from "./together.ts";

function joinable(type: string, togetherWith: readonly string[], audience = "https://one.example"): Joinable {
  return { togetherWith, definition: { type, audience } };
}

test("a type is asked for alone until the operator says otherwise", () => {
  const refund = joinable("refund", []);
  assert.equal(apart([refund]), undefined);
  assert.deepEqual(apart([refund, refund]), [0, 1]);
  assert.deepEqual(apart([refund, joinable("notify", ["refund"])]), [0, 1]);
  assert.deepEqual(apart([joinable("notify", ["refund"]), refund]), [0, 1]);
});

test("two that name each other may be one action, and a type that names itself more than once", () => {
  const refund = joinable("refund", ["notify"]);
  const notify = joinable("notify", ["refund", "notify"]);
  assert.equal(apart([refund, notify]), undefined);
  assert.equal(apart([notify, refund, notify]), undefined);
  assert.deepEqual(apart([refund, notify, refund]), [0, 2]);
});

test("a common friend brings nobody together, and neither does another API", () => {
  const [a, b, c] = [joinable("a", ["b"]), joinable("b", ["a", "c"]), joinable("c", ["b"])];
  assert.equal(apart([a, b]), undefined);
  assert.deepEqual(apart([a, b, c]), [0, 2]);
  assert.deepEqual(apart([a, joinable("b", ["a"], "https://other.example")]), [0, 1]);
});

test("whether they may be one action does not depend on their order", () => {
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
      assert.equal(apart(together) === undefined, every);
      assert.equal(apart(together.toReversed()) === undefined, every);
    }),
  );
});
