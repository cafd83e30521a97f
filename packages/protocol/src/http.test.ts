import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeBasicAuthorization, parseRetryAfter } from "./http.ts";

const now = Date.UTC(2026, 10, 22, 12);

describe("parseRetryAfter", () => {
  test("returns milliseconds for seconds and for a date", () => {
    assert.equal(parseRetryAfter("0", now), 0);
    assert.equal(parseRetryAfter("7", now), 7_000);
    assert.equal(parseRetryAfter("Sun, 22 Nov 2026 12:00:09 GMT", now), 9_000);
  });

  test("is limited to one hour, and to 0 for a date in the past", () => {
    assert.equal(parseRetryAfter("999999999", now), 3_600_000);
    assert.equal(parseRetryAfter("Sun, 22 Nov 2026 11:00:00 GMT", now), 0);
  });

  test("returns undefined for a missing or malformed header", () => {
    for (const header of [null, "", "soon", "1.5 s", "NaN"])
      assert.equal(parseRetryAfter(header, now), undefined);
  });
});

describe("encodeBasicAuthorization", () => {
  test("form-encodes both parts before joining them", () => {
    assert.equal(
      encodeBasicAuthorization("refund:er", "s3cret with space/+é"),
      `Basic ${btoa("refund%3Aer:s3cret+with+space%2F%2B%C3%A9")}`,
    );
  });
});
