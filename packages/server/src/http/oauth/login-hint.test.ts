import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readLoginHint } from "./login-hint.ts";

const issuer = "https://approve.example";
const read = (hint: unknown) => readLoginHint(typeof hint === "string" ? hint : JSON.stringify(hint), issuer);

describe("readLoginHint", () => {
  test("parses an e-mail address, an id, owner, a group and a subject identifier", () => {
    assert.deepEqual(read("Ada@Example.com"), { by: "email", email: "ada@example.com" });
    assert.deepEqual(read("apr_1"), { by: "id", id: "apr_1" });
    assert.deepEqual(read("owner"), { by: "policy" });
    assert.deepEqual(read("group:finance"), { by: "group", group: "finance" });
    assert.deepEqual(read({ format: "email", email: "Ada@example.com" }), {
      by: "email",
      email: "ada@example.com",
    });
    assert.deepEqual(read({ format: "opaque", id: "apr_1" }), { by: "id", id: "apr_1" });
    for (const iss of [issuer, `${issuer}/`])
      assert.deepEqual(read({ format: "iss_sub", iss, sub: "apr_1" }), { by: "id", id: "apr_1" });
  });

  const unmatchable: readonly (readonly [string, unknown])[] = [
    ["of another issuer", { format: "iss_sub", iss: "https://other.example", sub: "apr_1" }],
    [
      "of an issuer that only starts with this issuer",
      { format: "iss_sub", iss: `${issuer}//`, sub: "apr_1" },
    ],
    ["without an issuer", { format: "iss_sub", sub: "apr_1" }],
    [
      "with a member that its format does not define",
      { format: "email", email: "ada@example.com", id: "apr_1" },
    ],
    ["of an unsupported format", { format: "phone_number", phone_number: "+12065550100" }],
    ["with a list of identifiers", { format: "aliases", identifiers: [{ format: "opaque", id: "apr_1" }] }],
    ["without a format", { email: "ada@example.com" }],
    ["with a number as e-mail", { format: "email", email: 1 }],
    ["with a duplicate key", '{"format":"opaque","id":"apr_1","id":"apr_2"}'],
    ["with incomplete JSON", '{"format":"opaque"'],
  ];
  for (const [name, hint] of unmatchable)
    test(`returns undefined for a subject identifier ${name}`, () => {
      assert.equal(read(hint), undefined);
    });

  test("returns undefined or a value contained in the text, for any text", () => {
    const object = fc.dictionary(
      fc.constantFrom("format", "iss", "sub", "email", "id", "__proto__", "x"),
      fc.oneof(fc.constantFrom("email", "opaque", "iss_sub", issuer, "a@b"), fc.jsonValue()),
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      object.map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, (hint) => {
        const parsed = readLoginHint(hint, issuer);
        if (parsed === undefined || parsed.by === "policy") return;
        const value = Object.values(parsed)[1] ?? "";
        const values = hint.startsWith("{")
          ? Object.values(JSON.parse(hint))
          : [hint, hint.slice("group:".length)];
        assert.ok(values.some((one) => typeof one === "string" && one.toLowerCase() === value.toLowerCase()));
      }),
    );
  });
});
