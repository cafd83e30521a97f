import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDedupe } from "./dedupe.ts";

describe("createDedupe", () => {
  test("logs a repeated key once in ten seconds, with the number suppressed", () => {
    let now = 0;
    const dedupe = createDedupe(() => now);
    assert.equal(dedupe("away"), 0);
    for (now = 500; now < 10_000; now += 500) assert.equal(dedupe("away"), undefined);
    assert.equal(dedupe("something else"), 0);
    now = 10_000;
    assert.equal(dedupe("away"), 19);
    now = 20_000;
    assert.equal(dedupe("away"), 0);
  });

  test("remembers a bounded number of keys", () => {
    const dedupe = createDedupe(() => 0);
    for (let n = 0; n < 1_000; n += 1) assert.equal(dedupe(`${n}`), 0);
    assert.equal(dedupe("999"), undefined);
    assert.equal(dedupe("0"), 0);
  });
});
