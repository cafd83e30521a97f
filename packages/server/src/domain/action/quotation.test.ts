import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { escapeErrorText, formatErrorPath, quote, quoteErrorName } from "./quotation.ts";

describe("quotation", () => {
  test("quotes a plain value unchanged", () => {
    assert.equal(quote("order A-1"), "“order A-1”");
  });

  test("escapes quotation marks, so that a value cannot seem to end early (T15)", () => {
    assert.equal(quote("A-1” and close it"), "“A-1\\” and close it”");
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "“", "”", '"', "\\", "″", " "), { maxLength: 12 }),
        (letters) => {
          const inner = quote(letters.join("")).slice(1, -1);
          assert.doesNotMatch(inner.replaceAll(/\\./g, ""), /[“”"″\\]/);
          assert.equal(inner.replaceAll(/\\(.)/g, "$1"), letters.join(""));
        },
      ),
    );
  });

  test("keeps error text in the alphabet of error_description, for any input", () => {
    const text = fc.string({ unit: "binary", maxLength: 80 });
    fc.assert(
      fc.property(text, (name) => {
        for (const safe of [escapeErrorText(name), quoteErrorName(name), formatErrorPath([0, name])])
          assert.match(safe, /^[\x20-\x21\x23-\x5B\x5D-\x7E]*$/);
      }),
    );
    assert.equal(escapeErrorText('say "hi"\n'), "say <U+0022>hi<U+0022><U+000A>");
  });

  test("truncates a name, which cannot close its quotation", () => {
    assert.equal(quoteErrorName("it's"), "'it<U+0027>s'");
    assert.equal(quoteErrorName("a".repeat(50)), `'${"a".repeat(40)}...'`);
  });

  test("formats plain members plainly and quotes others", () => {
    assert.equal(formatErrorPath([0, "to", 2]), "$[0].to[2]");
    assert.equal(formatErrorPath([0, "am\u200bount"]), "$[0]['am<U+200B>ount']");
  });
});
