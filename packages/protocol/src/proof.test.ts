import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createDpopNonces } from "./nonce.ts";
import { comparableUrl, type ProofFault, readDpopProof } from "./proof.ts";

const now = Date.UTC(2026, 10, 22, 12);
const seconds = now / 1000;
const jwk = { kty: "EC", crv: "P-256", x: "x", y: "y" };
const header = { typ: "dpop+jwt", alg: "ES256", jwk };
const claims = { htm: "POST", htu: "https://api.example/refunds", iat: seconds, jti: "one", ath: "hash" };
const request = { method: "POST", urls: ["https://api.example/refunds"], accessTokenHash: "hash" };

const fault = (changed: object, head: object = {}) => {
  const answer = readDpopProof({ ...header, ...head }, { ...claims, ...changed }, request, now);
  return "refused" in answer ? answer.refused : undefined;
};

describe("DPoP proofs", () => {
  test("accepts a valid proof, with its nonce if it has one", () => {
    assert.deepEqual(readDpopProof(header, claims, request, now), { jti: "one", expiresAt: now + 90_000 });
    assert.deepEqual(readDpopProof(header, { ...claims, nonce: "n" }, request, now), {
      jti: "one",
      nonce: "n",
      expiresAt: now + 90_000,
    });
  });

  test("names the claim or header that is invalid", () => {
    const cases: [ProofFault, object, object?][] = [
      ["typ", {}, { typ: "JWT" }],
      ["typ", {}, { typ: undefined }],
      ["jwk", {}, { jwk: undefined }],
      ["jwk", {}, { jwk: "key" }],
      ["htm", { htm: "GET" }],
      ["htm", { htm: "post" }],
      ["htm", { htm: undefined }],
      ["htu", { htu: "https://other.example/refunds" }],
      ["htu", { htu: "https://api.example/refunds/" }],
      ["htu", { htu: "/refunds" }],
      ["htu", { htu: undefined }],
      ["iat", { iat: undefined }],
      ["iat", { iat: String(seconds) }],
      ["iat", { iat: Number.NaN }],
      ["jti", { jti: "" }],
      ["jti", { jti: undefined }],
      ["jti", { jti: 7 }],
      ["jti", { jti: "j".repeat(257) }],
      ["ath", { ath: "another" }],
      ["ath", { ath: undefined }],
    ];
    for (const [expected, changed, head] of cases)
      assert.equal(fault(changed, head), expected, JSON.stringify([changed, head]));
  });

  test("rejects a proof with a private key of any kind", () => {
    for (const name of ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"])
      assert.equal(fault({}, { jwk: { ...jwk, [name]: "secret" } }), "jwk");
  });

  test("accepts a proof for one minute, and 30 seconds more for clock differences", () => {
    assert.equal(fault({ iat: seconds - 89.5 }), undefined);
    assert.equal(fault({ iat: seconds - 90 }), "iat");
    assert.equal(fault({ iat: seconds + 30 }), undefined);
    assert.equal(fault({ iat: seconds + 30.5 }), "iat");
  });

  test("compares URLs in normalized form, without query and fragment", () => {
    const spellings = [
      "https://api.example/refunds/~a%20b",
      "HTTPS://API.EXAMPLE:443/refunds/%7ea%20b?x=1#y",
      "https://api.example/refunds/./%7Ea%20b",
      "https://api.example/x/../refunds/~%61%20b",
    ];
    for (const url of spellings) assert.equal(comparableUrl(url), spellings[0]);
    assert.equal(comparableUrl("https://api.example"), comparableUrl("https://api.example/"));
    assert.equal(comparableUrl("https://api.example/%c3%bc"), "https://api.example/%C3%BC");
    assert.equal(comparableUrl("https://api.example/a%2fb"), "https://api.example/a%2Fb");
    for (const url of [
      "http://api.example/refunds",
      "https://api.example:8443/refunds",
      "https://api.example/Refunds",
    ])
      assert.notEqual(comparableUrl(url), "https://api.example/refunds");
    for (const url of [
      "",
      "api.example",
      "ftp://api.example/",
      "https://me@api.example/",
      "https://:p@api.example/",
    ])
      assert.equal(comparableUrl(url), undefined, url);
  });

  test("accepts or rejects any claims, and normalizing a URL twice changes nothing", () => {
    const anything = fc.dictionary(fc.constantFrom(...Object.keys({ ...claims, ...header })), fc.anything());
    fc.assert(
      fc.property(anything, anything, (head, payload) => {
        const answer = readDpopProof({ ...header, ...head }, { ...claims, ...payload }, request, now);
        return "refused" in answer || answer.jti.length > 0;
      }),
    );
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (url) => {
        const once = comparableUrl(url)!;
        return comparableUrl(once) === once && !/[?#]/.test(once);
      }),
    );
  });

  test("issues a nonce for five minutes, accepts it for five more, with every holder of the key", () => {
    const nonces = createDpopNonces((period) => createHmac("sha256", "k").update(period).digest("base64url"));
    const others = createDpopNonces((period) => createHmac("sha256", "x").update(period).digest("base64url"));
    const start = Math.ceil(now / 300_000) * 300_000;
    const nonce = nonces.current(start);
    assert.equal(nonces.current(start + 299_999), nonce);
    assert.notEqual(nonces.current(start + 300_000), nonce);
    assert.equal(nonces.stateOf(nonce, start - 300_000), "fresh", "issued by a machine whose clock is ahead");
    assert.equal(nonces.stateOf(nonce, start - 300_001), "unknown");
    assert.equal(nonces.stateOf(nonce, start + 299_999), "fresh");
    assert.equal(nonces.stateOf(nonce, start + 300_000), "aging");
    assert.equal(nonces.stateOf(nonce, start + 599_999), "aging");
    assert.equal(nonces.stateOf(nonce, start + 600_000), "unknown");
    assert.equal(nonces.stateOf(undefined, start), "unknown");
    assert.equal(others.stateOf(nonce, start), "unknown");
  });

  test("accepts or names the fault of any proof, and accepts only recent ones", () => {
    const anything = fc.oneof(
      fc.anything(),
      fc.constantFrom(undefined, null, "POST", seconds, "one", "hash", jwk),
    );
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("htm", "htu", "iat", "jti", "ath", "nonce"), anything),
        anything,
        (changed, key) => {
          const answer = readDpopProof({ ...header, jwk: key }, { ...claims, ...changed }, request, now);
          if ("refused" in answer) return;
          assert.ok(answer.jti !== "" && answer.expiresAt > now && answer.expiresAt <= now + 120_000);
          assert.ok(typeof key === "object" && key !== null && !Object.hasOwn(key, "d"));
        },
      ),
    );
  });
});
