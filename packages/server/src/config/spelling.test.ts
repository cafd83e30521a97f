import assert from "node:assert/strict";
import { test } from "node:test";
import { suggestSpelling } from "./spelling.ts";

test("a slip is recognized, letter case aside", () => {
  assert.equal(suggestSpelling("isuer", ["listen", "issuer", "store"]), "did you mean issuer?");
  assert.equal(
    suggestSpelling("Token_Lifetme", ["token_lifetime", "lifetime"]),
    "did you mean token_lifetime?",
  );
});

test("a word that is like none is answered with all of them", () => {
  assert.equal(suggestSpelling("colour", ["as", "field"]), "known: as, field");
  assert.equal(suggestSpelling("is", ["as", "to"]), "did you mean as?");
  assert.equal(suggestSpelling("x", []), "none is declared; remove it");
});
