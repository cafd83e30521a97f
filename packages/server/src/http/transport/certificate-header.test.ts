import assert from "node:assert/strict";
import { test } from "node:test";
import { selfSigned } from "@countersign/testing/server/certificate";
import fc from "fast-check";
import { readCertificateHeader } from "./certificate-header.ts";

const { certificate: pem, der } = await selfSigned("CN=agent");
const base64 = Buffer.from(der).toString("base64");
const other = Buffer.from((await selfSigned("CN=other")).der).toString("base64");

const read = (value: string) => {
  const found = readCertificateHeader(value);
  return found && Buffer.from(found).toString("base64");
};

test("RFC 9440's form and nginx's are read as the same certificate", () => {
  assert.equal(read(`:${base64}:`), base64);
  assert.equal(read(encodeURIComponent(pem)), base64);
  // nginx leaves what needs no escape in a header; others escape more.
  assert.equal(read(encodeURIComponent(pem).replaceAll("%2F", "/").replaceAll("%2B", "%2b")), base64);
  assert.equal(read(encodeURIComponent(pem).replaceAll("%0A", "%0D%0A")), base64);
});

const wrong: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["two, joined as Node joins repeated headers", `:${base64}:, :${other}:`],
  ["two, one after the other", `:${base64}::${other}:`],
  ["two in PEM", encodeURIComponent(pem + pem)],
  [
    "something after it",
    `:${Buffer.concat([Buffer.from(base64, "base64"), Buffer.from("x")]).toString("base64")}:`,
  ],
  ["something before it", encodeURIComponent(`x\n${pem}`)],
  ["base64 without colons", base64],
  ["base64url", `:${base64.replaceAll("+", "-").replaceAll("/", "_")}-:`],
  ["base64 with spaces", `:${base64.slice(0, 8)} ${base64.slice(8)}:`],
  ["PEM that is not encoded", pem.replaceAll("\n", " ")],
  ["PEM with plus signs for spaces", encodeURIComponent(pem).replaceAll("%20", "+")],
  ["half a percent escape", `${encodeURIComponent(pem)}%0`],
  ["a private key", encodeURIComponent(pem.replaceAll("CERTIFICATE", "PRIVATE KEY"))],
  ["more than a certificate can be", `:${"A".repeat(40_000)}:`],
  ["no certificate", `:${Buffer.from("hello").toString("base64")}:`],
];
for (const [what, value] of wrong)
  test(`what is not exactly one certificate is refused: ${what}`, () => {
    assert.equal(read(value), undefined);
  });

test("whatever comes in the header, it is read or refused, and never thrown over", () => {
  fc.assert(fc.property(fc.string(), (value) => read(value) === undefined));
  fc.assert(fc.property(fc.base64String(), (value) => read(`:${value}:`) === undefined));
  fc.assert(
    fc.property(fc.nat(base64.length - 1), fc.nat(63), (at, to) => {
      const digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[to] ?? "A";
      const changed = base64.slice(0, at) + digit + base64.slice(at + 1);
      const found = read(`:${changed}:`);
      return found === undefined || found === changed;
    }),
  );
});
