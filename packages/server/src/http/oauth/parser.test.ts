/** Property tests of the parsers of request text: arbitrary input is either parsed faithfully or refused with `OAuthError`. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isPublic } from "../../domain/url/ip-address.ts";
import { checkOutboundUrl } from "../../domain/url/outbound-url.ts";
import { anonymousPeer } from "../transport/peer.ts";
import { fromFetchRequest } from "../transport/protocol-request.ts";
import { readClientCredentials } from "./client-authentication.ts";
import { parseForm } from "./form.ts";
import { hasJwtType, isAudience, readPayload, readUnverifiedIssuer } from "./jwt.ts";
import { OAuthError } from "./oauth-error.ts";
import { parsePreferWait } from "./prefer.ts";

/** Returns the parsed value, or undefined if `parse` throws `OAuthError`. Any other error fails the test. */
function parseOrRefuse<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof OAuthError, String(error));
    assert.match(error.message, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    return undefined;
  }
}

const piece = fc.constantFrom(
  "a",
  "=",
  "&",
  "+",
  "%",
  "%00",
  "%41",
  "%c3%a4",
  "%ff",
  "%E0%A4",
  "__proto__",
  "ä",
);
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.array(piece, { maxLength: 12 }).map((all) => all.join("")),
);

describe("request parsers", () => {
  test("parseForm returns unique names without NUL or empty values, or refuses (T43, T53)", () => {
    fc.assert(
      fc.property(text, (body) => {
        const form = parseOrRefuse(() => parseForm(body));
        // The "&" keeps URLSearchParams from removing a leading question mark.
        const reference = new URLSearchParams(`&${body}`);
        for (const [name, value] of form ?? []) {
          assert.ok(value !== "" && !`${name}${value}`.includes("\0"));
          assert.equal(reference.getAll(name).length, 1);
          assert.equal(reference.get(name), value);
        }
      }),
    );
  });

  test("parseForm returns the parameters that a client serialized", () => {
    const wellFormed = fc
      .string({ unit: "grapheme", maxLength: 20 })
      .filter((one) => one.isWellFormed() && !one.includes("\0"));
    fc.assert(
      fc.property(fc.dictionary(wellFormed, wellFormed, { maxKeys: 6 }), (parameters) => {
        const expected = Object.entries(parameters).filter(([, value]) => value !== "");
        assert.deepEqual([...parseForm(new URLSearchParams(parameters).toString())], expected);
      }),
    );
  });

  test("readClientCredentials returns id and secret of an Authorization header, or refuses it", () => {
    const header = (value: string) => new Request("http://x", { headers: { authorization: value } });
    const pair = fc.oneof(
      text,
      fc.tuple(text, text).map((halves) => halves.map(encodeURIComponent).join(":")),
    );
    fc.assert(
      fc.property(fc.constantFrom("Basic ", "basic ", "Bearer ", "Basic"), pair, (scheme, text) => {
        const request = header(`${scheme}${Buffer.from(text).toString("base64")}`);
        const credentials = parseOrRefuse(() =>
          readClientCredentials(fromFetchRequest(request), new Map(), anonymousPeer),
        );
        if (credentials) assert.ok("secret" in credentials && /^basic $/i.test(scheme) && text.includes(":"));
      }),
    );
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), (id, secret) => {
        const text = [id, secret].map((half) => encodeURIComponent(half)).join(":");
        const request = header(`Basic ${Buffer.from(text).toString("base64")}`);
        const credentials = readClientCredentials(fromFetchRequest(request), new Map(), anonymousPeer);
        assert.deepEqual(credentials, { method: "client_secret_basic", id, secret });
      }),
    );
  });

  test("parsePreferWait returns 1 to 30 seconds, or undefined", () => {
    const words = fc.constantFrom(
      "wait",
      "=",
      ",",
      ";",
      " ",
      '"',
      "1",
      "99",
      "0",
      "-",
      "respond-async",
      "\t",
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 14 }), (all) => {
        const wait = parsePreferWait(
          fromFetchRequest(new Request("http://x", { headers: { prefer: all.join("") } })),
        );
        if (wait) assert.ok(Number.isInteger(wait.seconds) && wait.seconds >= 1 && wait.seconds <= 30);
      }),
    );
  });

  test("checkOutboundUrl returns only bare https URLs to public addresses (T35, T58)", () => {
    const parts = fc.constantFrom(
      "https://",
      "http://",
      "//",
      "@",
      "#",
      "a",
      ".example",
      "127.0.0.1",
      "[::1]",
      "10.0.0.1",
      "0x7f.1",
      "localhost",
      ":443",
      "/",
      "\\",
      "%00",
      " ",
      "\n",
      "?",
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), (all) => {
        const url = checkOutboundUrl(all.join(""), { allowPrivate: [], allowHttp: false });
        if ("refused" in url) return;
        assert.equal(url.protocol, "https:");
        assert.deepEqual([url.username, url.password, url.hash], ["", "", ""]);
        const host = url.hostname.replace(/^\[|\]$/g, "");
        assert.ok(!/^[\d.]+$|:/.test(host) || isPublic(host), url.href);
      }),
      { numRuns: 400 },
    );
  });

  test("the JWT readers never throw, and never accept a foreign audience (T46)", () => {
    const json = fc.oneof(fc.jsonValue(), fc.record({ iss: fc.jsonValue(), aud: fc.jsonValue() }));
    const jwt = fc.array(
      fc.oneof(
        text,
        json.map((value) => Buffer.from(JSON.stringify(value)).toString("base64url")),
      ),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(jwt, json, (pieces, value) => {
        const text = pieces.join(".");
        assert.ok(["string", "undefined"].includes(typeof readUnverifiedIssuer(text)));
        readPayload(text);
        assert.equal(typeof hasJwtType(value, "x"), "boolean");
        assert.equal(isAudience(value, new Set(["https://server.example"])), false);
      }),
    );
  });
});
