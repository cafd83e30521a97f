import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { citations } from "./coverage.ts";
import { requirements, specifications } from "./requirements.ts";
import { freshDocument } from "./table.ts";

test("each requirement has an id of its own", () => {
  const ids = specifications.flatMap(({ requirements }) => requirements.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
});

test("each requirement is shown by a scenario, or is a known failure, or is not ours", () => {
  const cited = citations();
  const silent = [...requirements.values()].filter(
    ({ id, knownFailure, notApplicable }) =>
      knownFailure === undefined && notApplicable === undefined && !cited.has(id),
  );
  assert.deepEqual(
    silent.map(({ id, says }) => `${id}: ${says}`),
    [],
  );
});

test("what scenarios cite is there, and is ours", () => {
  const wrong = [...citations().keys()].filter(
    (id) => requirements.get(id)?.notApplicable !== undefined || !requirements.has(id),
  );
  assert.deepEqual(wrong, []);
});

test("a known failure and what is not ours say why", () => {
  for (const { id, knownFailure, notApplicable } of requirements.values()) {
    assert.notEqual(knownFailure?.trim(), "", id);
    assert.notEqual(notApplicable?.trim(), "", id);
    assert.ok(knownFailure === undefined || notApplicable === undefined, id);
  }
});

test("the document says how much is shown as it is: node conformance/table.ts --write", () => {
  const text = readFileSync("docs/conformance.md", "utf8");
  assert.equal(text, freshDocument(text));
});
