import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { suggestSpelling } from "./spelling.ts";

describe("suggestSpelling", () => {
  test("recognizes a misspelling, case-insensitively", () => {
    assert.equal(suggestSpelling("isuer", ["listen", "issuer", "store"]), "did you mean issuer?");
    assert.equal(
      suggestSpelling("Token_Lifetme", ["token_lifetime", "lifetime"]),
      "did you mean token_lifetime?",
    );
  });

  test("lists all names if none is similar", () => {
    assert.equal(suggestSpelling("colour", ["as", "field"]), "known: as, field");
    assert.equal(suggestSpelling("is", ["as", "to"]), "did you mean as?");
    assert.equal(suggestSpelling("x", []), "none is declared; remove it");
  });
});
