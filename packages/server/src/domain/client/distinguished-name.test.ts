import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { createSelfSigned } from "@countersign/testing/server/certificate";
import fc from "fast-check";
import { areNamesEqual, parseDistinguishedName, parseSubject } from "./distinguished-name.ts";

const areEqual = (one: string, other: string) =>
  areNamesEqual(parseDistinguishedName(one), parseDistinguishedName(other));

describe("parseDistinguishedName", () => {
  test("compares attributes by OID, whatever their name and case", () => {
    for (const [one, other] of [
      ["CN=a", "cn=a"],
      ["CN=a", "2.5.4.3=a"],
      ["E=a@b", "emailAddress=a@b"],
      ["ST=x", "stateOrProvinceName=x"],
      ["organizationIdentifier=PSD", "2.5.4.97=#0c03505344"],
      ["1.2.3=a", "1.2.3=#0C0161"],
      ["privateThing=a", "PRIVATETHING=a"],
    ] as const)
      assert.ok(areEqual(one, other), `${one} ${other}`);
    assert.ok(!areEqual("CN=a", "OU=a"));
    assert.ok(!areEqual("1.2.3=a", "1.2.4=a"));
  });

  test("compares the order of RDNs, and ignores the order of attributes in one RDN", () => {
    assert.ok(areEqual("CN=a+OU=b,O=c", "OU=b+CN=a, O = c"));
    assert.ok(!areEqual("CN=a,OU=b,O=c", "OU=b,CN=a,O=c"));
    assert.ok(!areEqual("CN=a+OU=b", "CN=a,OU=b"));
    assert.ok(!areEqual("CN=a,O=b", "O=b,CN=a"));
  });

  test("treats an escaped separator as part of the value", () => {
    assert.ok(areEqual("CN=a\\,O\\=b", "CN=a\\2cO=b"));
    assert.ok(!areEqual("CN=a\\,O\\=b", "CN=a,O=b"));
    assert.ok(areEqual("CN=\\ a\\ ", "CN=\\20a\\20"));
    assert.ok(!areEqual("CN=\\ a", "CN= a"));
    assert.ok(areEqual("CN=Lu\\C4\\8Di\\C4\\87", "CN=Lučić"));
  });

  test("treats an invalid name as equal to no name, not even itself", () => {
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
      assert.ok(!areEqual(text, text), text);
  });

  test("treats any escaped value as equal to itself, and to no other value", () => {
    const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(value, value, (one, other) => {
        const [a, b] = [`CN=${escapeValue(one)},O=x`, `CN=${escapeValue(other)},O=x`];
        assert.ok(areEqual(a, a), a);
        assert.equal(areEqual(a, b), one === other);
      }),
    );
  });

  test("never throws, for any text", () => {
    const odd = fc.string({ unit: fc.constantFrom(...'CN=,+\\#; "2.5ab\n0') });
    fc.assert(
      fc.property(odd, (text) => {
        parseDistinguishedName(text);
        parseSubject(text);
      }),
    );
  });

  test("parseSubject reads any special character in the subject of a certificate", async () => {
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
      const expected = parseDistinguishedName(`CN=${escapeValue(value)},O=x`);
      assert.deepEqual(subject, expected, JSON.stringify(value));
      assert.ok(subject);
    }
  });
});

/** Escapes a value as RFC 4514 §2.4 requires. */
function escapeValue(value: string): string {
  const escaped = value.replace(/["+,;<>\\]/g, "\\$&").replaceAll("\0", "\\00");
  return escaped.replace(/^[ #]/, "\\$&").replace(/([^\\]|^) $/, "$1\\ ");
}
