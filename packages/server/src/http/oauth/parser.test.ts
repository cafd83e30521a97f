/** Every reader of what a caller sends in pieces of text: whatever comes is read or refused, and what is read says what was sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isPublic } from "../../domain/url/ip-address.ts";
import { checkOutboundUrl } from "../../domain/url/outbound-url.ts";
import { anonymousPeer } from "../transport/peer.ts";
import { fromFetchRequest } from "../transport/protocol-request.ts";
import { readClientCredentials } from "./client-credentials.ts";
import { parseForm } from "./form.ts";
import { hasJwtType, isAudience, readPayload, readUnverifiedIssuer } from "./jwt.ts";
import { OAuthError } from "./oauth-error.ts";
import { parsePreferWait } from "./prefer.ts";

/** What it reads, or undefined where it refuses. Anything else that is thrown fails the test. */
function readOr<T>(read: () => T): T | undefined {
  try {
    return read();
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

test("T43, T53: any form is read or refused, and what is read has each name once, no NUL and nothing empty", () => {
  fc.assert(
    fc.property(text, (body) => {
      const form = readOr(() => parseForm(body));
      // A question mark at its beginning is not part of a URL here.
      const plain = new URLSearchParams(`&${body}`);
      for (const [name, value] of form ?? []) {
        assert.ok(value !== "" && !`${name}${value}`.includes("\0"));
        assert.equal(plain.getAll(name).length, 1);
        assert.equal(plain.get(name), value);
      }
    }),
  );
});

test("what a client writes as a form is read as it was meant", () => {
  const whole = fc
    .string({ unit: "grapheme", maxLength: 20 })
    .filter((one) => one.isWellFormed() && !one.includes("\0"));
  fc.assert(
    fc.property(fc.dictionary(whole, whole, { maxKeys: 6 }), (given) => {
      const said = Object.entries(given).filter(([, value]) => value !== "");
      assert.deepEqual([...parseForm(new URLSearchParams(given).toString())], said);
    }),
  );
});

test("whatever stands in Authorization is one client's name and secret, or refused", () => {
  const header = (value: string) => new Request("http://x", { headers: { authorization: value } });
  const pair = fc.oneof(
    text,
    fc.tuple(text, text).map((halves) => halves.map(encodeURIComponent).join(":")),
  );
  fc.assert(
    fc.property(fc.constantFrom("Basic ", "basic ", "Bearer ", "Basic"), pair, (scheme, said) => {
      const request = header(`${scheme}${Buffer.from(said).toString("base64")}`);
      const presented = readOr(() =>
        readClientCredentials(fromFetchRequest(request), new Map(), anonymousPeer),
      );
      if (presented) assert.ok("secret" in presented && /^basic $/i.test(scheme) && said.includes(":"));
    }),
  );
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string(), (id, secret) => {
      const said = [id, secret].map((half) => encodeURIComponent(half)).join(":");
      const request = header(`Basic ${Buffer.from(said).toString("base64")}`);
      const presented = readClientCredentials(fromFetchRequest(request), new Map(), anonymousPeer);
      assert.deepEqual(presented, { method: "client_secret_basic", id, secret });
    }),
  );
});

test("whatever stands in Prefer is half a minute at most, or no wait", () => {
  const words = fc.constantFrom("wait", "=", ",", ";", " ", '"', "1", "99", "0", "-", "respond-async", "\t");
  fc.assert(
    fc.property(fc.array(words, { maxLength: 14 }), (all) => {
      const wait = parsePreferWait(
        fromFetchRequest(new Request("http://x", { headers: { prefer: all.join("") } })),
      );
      if (wait) assert.ok(Number.isInteger(wait.seconds) && wait.seconds >= 1 && wait.seconds <= 30);
    }),
  );
});

test("T35, T58: a URL that may be called is https, to no address inside, with no name, password or fragment", () => {
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

test("T46: whatever calls itself a JWT has an issuer and claims that are read, or none; its type and audience are ours or not", () => {
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
      const said = pieces.join(".");
      assert.ok(["string", "undefined"].includes(typeof readUnverifiedIssuer(said)));
      readPayload(said);
      assert.equal(typeof hasJwtType(value, "x"), "boolean");
      assert.equal(isAudience(value, new Set(["https://ours.example"])), false);
    }),
  );
});
