import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "@countersign/protocol";
import fc from "fast-check";
import { OAuthError } from "./oauth-error.ts";
import { parseClaims, toParameters } from "./request-object.ts";

const names = [
  "scope",
  "login_hint",
  "requested_expiry",
  "authorization_details",
  "resource",
  "claims",
  "iss",
  "exp",
  "unknown",
  "__proto__",
  "toString",
];
const jwt = (payload: string) => `e30.${Buffer.from(payload).toString("base64url")}.`;

/** Returns the parameters of a payload, or the `OAuthError`. Rethrows any other error. */
function read(payload: string) {
  try {
    return toParameters(parseClaims(jwt(payload)));
  } catch (error) {
    if (error instanceof OAuthError) return error;
    throw error;
  }
}

describe("toParameters", () => {
  test("returns text parameters or an OAuthError with a valid description, for any payload", () => {
    const payload = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.dictionary(fc.constantFrom(...names), fc.jsonValue()).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(payload, (text) => {
        const result = read(text);
        if (!(result instanceof OAuthError)) {
          for (const [name, value] of result) assert.ok(typeof value === "string" && value !== "", name);
          for (const claim of ["iss", "exp", "__proto__"]) assert.ok(!result.has(claim));
          return;
        }
        assert.match(result.code, /^invalid_(request|target|authorization_details)$/);
        assert.match(result.message, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      }),
    );
  });

  test("keeps text claims unchanged and serializes JSON claims", () => {
    const text = fc.string({ minLength: 1 }).filter((one) => !one.includes("\0"));
    const details = fc.array(
      fc.dictionary(
        fc.constantFrom("type", "order", "amount"),
        fc.oneof(text, fc.maxSafeInteger(), fc.boolean()),
      ),
    );
    fc.assert(
      fc.property(text, details, fc.maxSafeInteger(), (hint, authorization_details, requested_expiry) => {
        const claims = { login_hint: hint, authorization_details, requested_expiry } as JsonObject;
        const form = toParameters(parseClaims(jwt(JSON.stringify(claims))));
        assert.equal(form.get("login_hint"), hint);
        assert.equal(form.get("requested_expiry"), String(requested_expiry));
        assert.equal(form.get("authorization_details"), JSON.stringify(authorization_details));
      }),
    );
  });
});
