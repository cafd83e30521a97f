import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSelfSigned } from "@countersign/testing/server/certificate";
import fc from "fast-check";
import { readCertificateHeader } from "./certificate-header.ts";

const { certificate: pem, der } = await createSelfSigned("CN=agent");
const base64 = Buffer.from(der).toString("base64");
const other = Buffer.from((await createSelfSigned("CN=other")).der).toString("base64");

const read = (value: string) => {
  const found = readCertificateHeader(value);
  return found && Buffer.from(found).toString("base64");
};

describe("readCertificateHeader", () => {
  test("reads the formats of RFC 9440 and nginx", () => {
    assert.equal(read(`:${base64}:`), base64);
    assert.equal(read(encodeURIComponent(pem)), base64);
    // nginx escapes only what a header requires; other proxies escape more.
    assert.equal(read(encodeURIComponent(pem).replaceAll("%2F", "/").replaceAll("%2B", "%2b")), base64);
    assert.equal(read(encodeURIComponent(pem).replaceAll("%0A", "%0D%0A")), base64);
  });

  const invalid: readonly (readonly [string, string])[] = [
    ["an empty value", ""],
    ["two certificates, joined as Node joins repeated headers", `:${base64}:, :${other}:`],
    ["two certificates without a separator", `:${base64}::${other}:`],
    ["two certificates in PEM", encodeURIComponent(pem + pem)],
    [
      "trailing data",
      `:${Buffer.concat([Buffer.from(base64, "base64"), Buffer.from("x")]).toString("base64")}:`,
    ],
    ["leading data", encodeURIComponent(`x\n${pem}`)],
    ["base64 without colons", base64],
    ["base64url", `:${base64.replaceAll("+", "-").replaceAll("/", "_")}-:`],
    ["base64 with spaces", `:${base64.slice(0, 8)} ${base64.slice(8)}:`],
    ["PEM that is not encoded", pem.replaceAll("\n", " ")],
    ["PEM with plus signs for spaces", encodeURIComponent(pem).replaceAll("%20", "+")],
    ["an incomplete percent escape", `${encodeURIComponent(pem)}%0`],
    ["a private key", encodeURIComponent(pem.replaceAll("CERTIFICATE", "PRIVATE KEY"))],
    ["a value above the length limit", `:${"A".repeat(40_000)}:`],
    ["data that is not a certificate", `:${Buffer.from("hello").toString("base64")}:`],
  ];
  for (const [name, value] of invalid)
    test(`returns undefined for ${name}`, () => {
      assert.equal(read(value), undefined);
    });

  test("never throws, and returns only the certificate that was sent", () => {
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
});
