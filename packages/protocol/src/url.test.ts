import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MetadataError } from "./error.ts";
import { isSameUrl, requireSecureUrl } from "./url.ts";

describe("requireSecureUrl", () => {
  test("accepts https, and http on the loopback interface", () => {
    for (const url of [
      "https://countersign.example",
      "http://localhost:8080",
      "http://a.localhost",
      "http://127.9.9.9",
      "http://[::1]:1",
    ])
      requireSecureUrl(url, "the issuer", {});
  });

  test("rejects http on other hosts, unless allowHttp is set", () => {
    for (const url of [
      "http://countersign.example",
      "http://127.0.0.1.evil.example",
      "http://localhost.example",
    ]) {
      assert.throws(() => requireSecureUrl(url, "the issuer", {}), {
        code: "ERR_INVALID_ARGUMENT",
        message: `the issuer must be https: (${url}); http: only on this machine, or with allowHttp`,
      });
      requireSecureUrl(url, "the issuer", { allowHttp: true });
    }
  });

  test("rejects other schemes and texts that are not URLs, with the given error class", () => {
    for (const url of ["ftp://localhost/", "countersign.example", ""])
      assert.throws(() => requireSecureUrl(url, "jwks_uri", { allowHttp: true }, MetadataError), {
        code: "ERR_METADATA",
        message: /^jwks_uri /,
      });
  });
});

describe("isSameUrl", () => {
  test("compares normalized URLs, and texts that are not URLs exactly", () => {
    assert(isSameUrl("https://AS.example:443/", "https://as.example"));
    assert(!isSameUrl("https://as.example/a", "https://as.example"));
    assert(isSameUrl("as.example", "as.example"));
    assert(!isSameUrl("as.example", "https://as.example"));
  });
});
