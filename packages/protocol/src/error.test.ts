import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { getErrorMessage, toNetworkError } from "./error.ts";

describe("toNetworkError", () => {
  test("returns ERR_TIMEOUT for a passed time limit, and keeps the cause", () => {
    const cause = new DOMException("The operation timed out", "TimeoutError");
    const error = toNetworkError("no response", cause);
    assert.deepEqual([error.code, error.message, error.cause], ["ERR_TIMEOUT", "no response", cause]);
  });

  test("returns ERR_NETWORK for any other cause", () => {
    for (const cause of [new TypeError("fetch failed"), "refused", undefined])
      assert.equal(toNetworkError("no response", cause).code, "ERR_NETWORK");
  });
});

describe("getErrorMessage", () => {
  test("returns the messages of an error or AggregateError, and other values as text", () => {
    const refused = [
      new Error("connect ECONNREFUSED ::1:80"),
      new Error("connect ECONNREFUSED 127.0.0.1:80"),
    ];
    assert.equal(getErrorMessage(refused[0]), "connect ECONNREFUSED ::1:80");
    assert.equal(
      getErrorMessage(new AggregateError(refused)),
      "connect ECONNREFUSED ::1:80; connect ECONNREFUSED 127.0.0.1:80",
    );
    assert.equal(getErrorMessage("no error"), "no error");
  });
});
