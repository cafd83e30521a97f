import assert from "node:assert/strict";
import { test } from "node:test";
import { didYouMean } from "./spelling.ts";

test("a slip is recognized, letter case aside", () => {
  assert.equal(didYouMean("isuer", ["listen", "issuer", "store"]), "did you mean issuer?");
  assert.equal(didYouMean("Token_Lifetme", ["token_lifetime", "lifetime"]), "did you mean token_lifetime?");
});

test("a word that is like none is answered with all of them", () => {
  assert.equal(didYouMean("colour", ["as", "field"]), "known here: as, field");
  assert.equal(didYouMean("is", ["as", "to"]), "did you mean as?");
  assert.equal(didYouMean("x", []), "none is declared; remove it");
});
