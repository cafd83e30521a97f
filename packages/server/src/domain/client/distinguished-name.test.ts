import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { createSelfSigned } from "@countersign/testing/server/certificate";
import fc from "fast-check";
import { areNamesEqual, parseDistinguishedName, parseSubject } from "./distinguished-name.ts";

const same = (one: string, other: string) =>
  areNamesEqual(parseDistinguishedName(one), parseDistinguishedName(other));

test("attributes have several names, in any case, and one of numbers", () => {
  for (const [one, other] of [
    ["CN=a", "cn=a"],
    ["CN=a", "2.5.4.3=a"],
    ["E=a@b", "emailAddress=a@b"],
    ["ST=x", "stateOrProvinceName=x"],
    ["organizationIdentifier=PSD", "2.5.4.97=#0c03505344"],
    ["1.2.3=a", "1.2.3=#0C0161"],
    ["privateThing=a", "PRIVATETHING=a"],
  ] as const)
    assert.ok(same(one, other), `${one} ${other}`);
  assert.ok(!same("CN=a", "OU=a"));
  assert.ok(!same("1.2.3=a", "1.2.4=a"));
});

test("the order of steps counts, that of attributes within one does not", () => {
  assert.ok(same("CN=a+OU=b,O=c", "OU=b+CN=a, O = c"));
  assert.ok(!same("CN=a,OU=b,O=c", "OU=b,CN=a,O=c"));
  assert.ok(!same("CN=a+OU=b", "CN=a,OU=b"));
  assert.ok(!same("CN=a,O=b", "O=b,CN=a"));
});

test("what is escaped is part of the value, and what is not separates", () => {
  assert.ok(same("CN=a\\,O\\=b", "CN=a\\2cO=b"));
  assert.ok(!same("CN=a\\,O\\=b", "CN=a,O=b"));
  assert.ok(same("CN=\\ a\\ ", "CN=\\20a\\20"));
  assert.ok(!same("CN=\\ a", "CN= a"));
  assert.ok(same("CN=Lu\\C4\\8Di\\C4\\87", "CN=Lučić"));
});

test("what is no distinguished name equals nothing, not even itself", () => {
  for (const text of [
    "",
    "a",
    "CN",
    "=a",
    "CN=a,",
    ",CN=a",
    "CN=a,,O=b",
    "CN=a+",
    "CN=a\\",
    "CN=\\zz",
    "CN=\\ff",
    'CN="a"',
    "CN=a;O=b",
    "CN=<a>",
    "CN=#",
    "CN=#0c",
    "CN=#0c05ab",
    "CN=#0401ab",
    "1..2=a",
  ])
    assert.ok(!same(text, text), text);
});

/** RFC 4514 §2.4, as a strict writer would. */
function written(value: string): string {
  const escaped = value.replace(/["+,;<>\\]/g, "\\$&").replaceAll("\0", "\\00");
  return escaped.replace(/^[ #]/, "\\$&").replace(/([^\\]|^) $/, "$1\\ ");
}

test("a value of any text survives being written and read, and two different ones stay different", () => {
  const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(value, value, (one, other) => {
      const [a, b] = [`CN=${written(one)},O=x`, `CN=${written(other)},O=x`];
      assert.ok(same(a, a), a);
      assert.equal(same(a, b), one === other);
    }),
  );
});

test("whatever comes, it is read or it is not, and never thrown over", () => {
  const odd = fc.string({ unit: fc.constantFrom(...'CN=,+\\#; "2.5ab\n0') });
  fc.assert(
    fc.property(odd, (text) => {
      parseDistinguishedName(text);
      parseSubject(text);
    }),
  );
});

test("the subject of a certificate is the name that it was made with, whatever stands in it", async () => {
  const nasty = [
    "a,O=b",
    "a+O=b",
    "a\nO=b",
    "a\\",
    " a ",
    "#a",
    'a"b"',
    "a;b<c>d=e",
    "é漢😀",
    "a\0b",
    "\u202e",
  ];
  for (const value of nasty) {
    const { der } = await createSelfSigned([{ O: [{ utf8String: "x" }] }, { CN: [{ utf8String: value }] }]);
    const subject = parseSubject(new X509Certificate(der).subject);
    const expected = parseDistinguishedName(`CN=${written(value)},O=x`);
    assert.deepEqual(subject, expected, JSON.stringify(value));
    assert.ok(subject);
  }
});
