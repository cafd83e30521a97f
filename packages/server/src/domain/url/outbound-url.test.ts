import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isInRange, isPublic } from "./ip-address.ts";
import { checkOutboundUrl } from "./outbound-url.ts";

const publicOnly = { allowPrivate: [], allowHttp: false };

function refusal(
  url: string,
  policy = publicOnly as Parameters<typeof checkOutboundUrl>[1],
): string | undefined {
  const checked = checkOutboundUrl(url, policy);
  return "refused" in checked ? checked.refused : undefined;
}

describe("checkOutboundUrl", () => {
  test("requires https (T35)", () => {
    assert.equal(refusal("https://agent.example/cb"), undefined);
    assert.equal(refusal("https://agent.example:8443/cb?for=x"), undefined);
    for (const url of [
      "http://agent.example/cb",
      "ftp://agent.example/",
      "file:///etc/passwd",
      "javascript:1",
    ])
      assert.equal(refusal(url), "not_https", url);
  });

  test("refuses credentials, a fragment or a private address (T58)", () => {
    assert.equal(refusal("https://me:secret@agent.example/"), "credentials");
    assert.equal(refusal("https://me@agent.example/"), "credentials");
    assert.equal(refusal("https://agent.example/cb#there"), "fragment");
    assert.equal(refusal("https://agent.example/cb#"), "fragment");
    const inside = [
      "https://127.0.0.1/",
      "https://10.0.0.1/",
      "https://192.168.1.1:8443/cb",
      "https://172.16.0.1/",
      "https://169.254.169.254/latest/meta-data/",
      "https://100.64.0.1/",
      "https://0.0.0.0/",
      "https://[::1]/",
      "https://[fd00::1]/",
      "https://[fe80::1]/",
    ];
    for (const url of inside) assert.equal(refusal(url), "private_address", url);
  });

  test("refuses a private address in every spelling that a URL allows (T58)", () => {
    const spellings = [
      "https://0x7f.1/",
      "https://2130706433/",
      "https://0177.0.0.1/",
      "https://127.1/",
      "https://[::ffff:127.0.0.1]/",
      "https://[::ffff:7f00:1]/",
      "https://[::127.0.0.1]/",
      "https://[64:ff9b::10.0.0.1]/",
      "https://[64:ff9b:1::10.0.0.1]/",
      "https://[2002:7f00:1::]/",
      "https://[0:0:0:0:0:0:0:1]/",
      "https://%31%32%37.0.0.1/",
      "https://127.0.0.1./",
    ];
    for (const url of spellings) assert.equal(refusal(url), "private_address", url);
  });

  test("refuses what is not an absolute URL of visible ASCII, 2000 characters at most", () => {
    for (const url of [
      "",
      "agent.example",
      "/cb",
      "https://",
      "https://a b/",
      "https://ä.example/",
      "https://a/\r\n",
    ])
      assert.equal(refusal(url), "not_a_url", JSON.stringify(url));
    assert.equal(refusal(`https://agent.example/${"a".repeat(2000)}`), "not_a_url");
  });

  test("allows configured private ranges, and http only there", () => {
    const privateRanges = { allowPrivate: ["10.1.0.0/16", "fd00:1::/32"], allowHttp: false };
    assert.equal(refusal("https://10.1.2.3/", privateRanges), undefined);
    assert.equal(refusal("https://[::ffff:10.1.2.3]/", privateRanges), undefined);
    assert.equal(refusal("https://[fd00:1::5]/", privateRanges), undefined);
    assert.equal(refusal("https://10.2.0.1/", privateRanges), "private_address");
    assert.equal(refusal("http://10.1.2.3/", privateRanges), "not_https");
    const withHttp = { ...privateRanges, allowHttp: true };
    assert.equal(refusal("http://10.1.2.3/", withHttp), undefined);
    assert.equal(refusal("http://8.8.8.8/", withHttp), "private_address");
    assert.equal(refusal("https://8.8.8.8/", withHttp), undefined);
  });

  test("isPublic returns true only for global unicast", () => {
    for (const address of ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
      assert.equal(isPublic(address), true, address);
    const others = [
      "0.1.2.3",
      "192.0.0.8",
      "192.0.2.1",
      "198.18.0.1",
      "203.0.113.9",
      "224.0.0.1",
      "240.0.0.1",
      "255.255.255.255",
      "::",
      "::2",
      "100::1",
      "2001::1",
      "2001:db8::1",
      "3fff::1",
      "4000::1",
      "5f00::1",
      "fec0::1",
      "ff02::1",
      "fe80::1%eth0",
      "localhost",
      "",
    ];
    for (const address of others) assert.equal(isPublic(address), false, address);
    assert.equal(isInRange("nonsense", ["10.0.0.0/8"]), false);
    assert.equal(isInRange("10.0.0.1", ["fd00::/8"]), false);
  });

  test("refuses every spelling of any private IPv4 address (T58)", () => {
    const ranges = [
      [127, 0, 0, 0, 8],
      [10, 0, 0, 0, 8],
      [172, 16, 0, 0, 12],
      [192, 168, 0, 0, 16],
      [169, 254, 0, 0, 16],
      [100, 64, 0, 0, 10],
    ] as const;
    const address = fc
      .tuple(fc.constantFrom(...ranges), fc.nat(0xffffffff))
      .map(([[a, b, c, d, bits], rest]) => {
        const base = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
        return (base | (rest & (0xffffffff >>> bits))) >>> 0;
      });
    const spellings: readonly ((address: number) => string)[] = [
      (n) => String(n),
      (n) => `0x${n.toString(16)}`,
      (n) => `0${n.toString(8)}`,
      (n) => bytes(n).join("."),
      (n) =>
        bytes(n)
          .map((byte) => `0${byte.toString(8)}`)
          .join("."),
      (n) => `${n >>> 24}.${n & 0xffffff}`,
      (n) => `[::ffff:${bytes(n).join(".")}]`,
      (n) => `[::${bytes(n).join(".")}]`,
      (n) => `[64:ff9b::${bytes(n).join(".")}]`,
      (n) => `[2002:${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}::1]`,
    ];
    fc.assert(
      fc.property(address, fc.constantFrom(...spellings), (n, spell) => {
        assert.equal(refusal(`https://${spell(n)}/cb`), "private_address");
      }),
    );
  });
});

function bytes(n: number): number[] {
  return [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
}
