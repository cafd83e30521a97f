import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDedupe } from "./dedupe.ts";

describe("createDedupe", () => {
  test("logs a repeated key once in ten seconds, with the number suppressed", () => {
    let now = 0;
    const told = createDedupe(() => now);
    assert.equal(told("away"), 0);
    for (now = 500; now < 10_000; now += 500) assert.equal(told("away"), undefined);
    assert.equal(told("something else"), 0);
    now = 10_000;
    assert.equal(told("away"), 19);
    now = 20_000;
    assert.equal(told("away"), 0);
  });

  test("remembers a bounded number of keys", () => {
    const told = createDedupe(() => 0);
    for (let n = 0; n < 1_000; n += 1) assert.equal(told(`${n}`), 0);
    assert.equal(told("999"), undefined);
    assert.equal(told("0"), 0);
  });
});
