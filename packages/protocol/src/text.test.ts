import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspectText, isErrorDescription, toErrorDescription } from "./text.ts";

const unseen: { [name: string]: string } = {
  "a NUL": "\u0000",
  "a tab": "\t",
  "a line feed": "\n",
  "a carriage return": "\r",
  "an escape": "\u001b",
  "a delete": "\u007f",
  "a next line": "\u0085",
  "a soft hyphen": "\u00ad",
  "a combining grapheme joiner": "\u034f",
  "an Arabic letter mark": "\u061c",
  "a Hangul filler": "\u3164",
  "a halfwidth Hangul filler": "\uffa0",
  "a Khmer inherent vowel": "\u17b4",
  "a Mongolian vowel separator": "\u180e",
  "a zero-width space": "\u200b",
  "a zero-width non-joiner": "\u200c",
  "a zero-width joiner": "\u200d",
  "a left-to-right mark": "\u200e",
  "a right-to-left override": "\u202e",
  "a pop directional formatting": "\u202c",
  "a first strong isolate": "\u2068",
  "a line separator": "\u2028",
  "a paragraph separator": "\u2029",
  "a word joiner": "\u2060",
  "an invisible times": "\u2062",
  "a variation selector": "\ufe0f",
  "a byte order mark": "\ufeff",
  "an interlinear annotation anchor": "\ufff9",
  "a noncharacter": "\uffff",
  "an unassigned code point": "\u0378",
  "a private-use character": "\ue000",
  "a lone surrogate": "\ud800",
  "a tag character": "\u{e0041}",
  "a supplementary variation selector": "\u{e0100}",
  "a musical begin beam": "\u{1d173}",
  "a no-break space": "\u00a0",
  "a figure space": "\u2007",
  "a hair space": "\u200a",
  "a narrow no-break space": "\u202f",
  "an ideographic space": "\u3000",
  "a Braille blank": "\u2800",
  "a null notehead": "\u{1d159}",
  "a hieroglyphic blank": "\u{13441}",
};

describe("inspectText", () => {
  for (const [name, character] of Object.entries(unseen)) {
    test(`rejects ${name} as invisible (T15)`, () => {
      assert.equal(inspectText(`pay${character}ee`), "invisible");
      assert.equal(inspectText(character), "invisible");
    });
  }

  test("accepts texts as people write them", () => {
    const texts = [
      "",
      "a",
      "Refund $10,000.00 to ACME & Söhne (no. 7)?",
      "Überweisung – „eilig“ … 50 %",
      "日本語のテスト、はい。",
    ];
    texts.push(
      "مرحبا بالعالم",
      "שלום",
      "नमस्ते",
      "ขอบคุณที่ช่วย",
      "Việt Nam",
      "Ελληνικά",
      "한국어",
      "\u{1f600}\u{1f4b8} ✓",
      "<b>&amp;</b>",
    );
    for (const text of texts) assert.equal(inspectText(text), undefined, text);
  });

  test("accepts a line break only with lineBreaks, and no other control character (T15)", () => {
    assert.equal(inspectText("one\ntwo"), "invisible");
    assert.equal(inspectText("one\ntwo", { lineBreaks: true }), undefined);
    assert.equal(inspectText("one\n\ntwo", { lineBreaks: true }), undefined);
    for (const text of ["one\r\ntwo", "one\ttwo", "one\u2028two", "one\u000btwo"]) {
      assert.equal(inspectText(text, { lineBreaks: true }), "invisible", JSON.stringify(text));
    }
  });

  test("rejects space that pushes text away or hides its end as padding (T15)", () => {
    for (const text of [" a", "a ", "a  b", " ", `a${" ".repeat(500)}b`])
      assert.equal(inspectText(text), "padding", text);
    for (const text of ["\na", "a\n", "a\n\n\nb", "a\n \n \nb", "a\n\n b  c"]) {
      assert.equal(inspectText(text, { lineBreaks: true }), "padding", JSON.stringify(text));
    }
  });

  test("accepts four stacked combining marks, and rejects five (T15)", () => {
    assert.equal(inspectText(`x${"\u0323\u0324\u0325\u0326"}`), undefined);
    assert.equal(inspectText(`x${"\u0323\u0324\u0325\u0326\u0327".normalize("NFC")}`), "stacked_marks");
  });

  test("rejects a text that is not in NFC instead of normalizing it", () => {
    assert.equal(inspectText("A\u030angstro\u0308m"), "not_nfc");
    assert.equal(inspectText("Ångström".normalize("NFC")), undefined);
    assert.equal(inspectText("\u2126"), "not_nfc", "the ohm sign has a canonical twin");
  });

  test("counts the length in code points, and accepts the maximum", () => {
    const options = { maxCodePoints: 3 };
    assert.equal(inspectText("abc", options), undefined);
    assert.equal(inspectText("abcd", options), "too_long");
    assert.equal(inspectText("\u{1f600}\u{1f601}\u{1f602}", options), undefined);
    assert.equal(inspectText("\u{1f600}\u{1f601}\u{1f602}\u{1f603}", options), "too_long");
    assert.equal(inspectText("a", { maxCodePoints: 0 }), "too_long");
  });
});

describe("error_description", () => {
  test("isErrorDescription accepts printable ASCII without quotation mark and backslash", () => {
    assert(isErrorDescription(""));
    for (let code = 0; code < 0x100; code++) {
      const allowed = code >= 0x20 && code <= 0x7e && code !== 0x22 && code !== 0x5c;
      assert.equal(isErrorDescription(`a${String.fromCharCode(code)}`), allowed, code.toString(16));
    }
  });

  test("toErrorDescription replaces each other character once, also astral and lone surrogates", () => {
    assert.equal(toErrorDescription('a "b" \\ \u20ac \u{1f600} \ud800'), "a ?b? ? ? ? ?");
    assert.equal(
      toErrorDescription("\u200b", (character) => `<${character.codePointAt(0)?.toString(16)}>`),
      "<200b>",
    );
  });
});
