import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readLoginHint } from "./login-hint.ts";

const issuer = "https://approve.example";
const read = (hint: unknown) => readLoginHint(typeof hint === "string" ? hint : JSON.stringify(hint), issuer);

test("a login_hint is an address, an id, owner, a group, or a subject identifier", () => {
  assert.deepEqual(read("Ada@Example.com"), { by: "email", email: "ada@example.com" });
  assert.deepEqual(read("apr_1"), { by: "id", id: "apr_1" });
  assert.deepEqual(read("owner"), { by: "owner" });
  assert.deepEqual(read("group:finance"), { by: "group", group: "finance" });
  assert.deepEqual(read({ format: "email", email: "Ada@example.com" }), {
    by: "email",
    email: "ada@example.com",
  });
  assert.deepEqual(read({ format: "opaque", id: "apr_1" }), { by: "id", id: "apr_1" });
  for (const iss of [issuer, `${issuer}/`])
    assert.deepEqual(read({ format: "iss_sub", iss, sub: "apr_1" }), { by: "id", id: "apr_1" });
});

const nobody: readonly (readonly [string, unknown])[] = [
  ["of another issuer", { format: "iss_sub", iss: "https://other.example", sub: "apr_1" }],
  ["of an issuer that only begins like ours", { format: "iss_sub", iss: `${issuer}//`, sub: "apr_1" }],
  ["without an issuer", { format: "iss_sub", sub: "apr_1" }],
  ["with a member that its format does not have", { format: "email", email: "ada@example.com", id: "apr_1" }],
  ["of a format that leads to nobody here", { format: "phone_number", phone_number: "+12065550100" }],
  ["that is a list of others", { format: "aliases", identifiers: [{ format: "opaque", id: "apr_1" }] }],
  ["without a format", { email: "ada@example.com" }],
  ["whose address is a number", { format: "email", email: 1 }],
  ["that says two things under one name", '{"format":"opaque","id":"apr_1","id":"apr_2"}'],
  ["that is cut off", '{"format":"opaque"'],
];
for (const [name, hint] of nobody)
  test(`a subject identifier ${name} means nobody`, () => {
    assert.equal(read(hint), undefined);
  });

test("any text is read or means nobody, and what it is read into is part of it", () => {
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
      const meant = readLoginHint(hint, issuer);
      if (meant === undefined || meant.by === "owner") return;
      const value = Object.values(meant)[1] ?? "";
      const said = hint.startsWith("{")
        ? Object.values(JSON.parse(hint))
        : [hint, hint.slice("group:".length)];
      assert.ok(said.some((one) => typeof one === "string" && one.toLowerCase() === value.toLowerCase()));
    }),
  );
});
