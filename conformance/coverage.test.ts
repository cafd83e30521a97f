import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { citations } from "./coverage.ts";
import { requirements, specifications } from "./requirements.ts";
import { freshDocument } from "./table.ts";

test("requirement ids are unique", () => {
  const ids = specifications.flatMap(({ requirements }) => requirements.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
});

test("every requirement has a scenario, or is a known failure or not applicable", () => {
  const cited = citations();
  const silent = [...requirements.values()].filter(
    ({ id, knownFailure, notApplicable }) =>
      knownFailure === undefined && notApplicable === undefined && !cited.has(id),
  );
  assert.deepEqual(
    silent.map(({ id, statement }) => `${id}: ${statement}`),
    [],
  );
});

test("scenarios cite existing, applicable requirements", () => {
  const wrong = [...citations().keys()].filter(
    (id) => requirements.get(id)?.notApplicable !== undefined || !requirements.has(id),
  );
  assert.deepEqual(wrong, []);
});

test("known failures and not applicable requirements have a reason", () => {
  for (const { id, knownFailure, notApplicable } of requirements.values()) {
    assert.notEqual(knownFailure?.trim(), "", id);
    assert.notEqual(notApplicable?.trim(), "", id);
    assert.ok(knownFailure === undefined || notApplicable === undefined, id);
  }
});

test("docs/conformance.md is up to date (node conformance/table.ts --write)", () => {
  const text = readFileSync("docs/conformance.md", "utf8");
  assert.equal(text, freshDocument(text));
});
