import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApproverRule } from "../action/definition.ts";
import { candidates, mayDecide } from "./rule.ts";

const groups = new Map([
  ["finance", ["Bob@example.com", "ada@example.com"]],
  ["oncall", ["eve@example.com", "dan@example.com"]],
]);
const finance: ApproverRule = { people: ["Carol@Example.com"], groups: ["finance"] };
const owned: ApproverRule = {
  people: ["carol@example.com"],
  groups: [],
  owner: { field: "service", of: { foo: "Ada@example.com", bar: "oncall", gone: "nobodies" } },
};
const ownedOnly: ApproverRule = { ...owned, people: [] };
const owner = { by: "owner" } as const;
const by = (email: string) => ({ by: "email", email }) as const;

test("without an owner, everyone the rule names is asked: lower case, sorted, each once", () => {
  const twice = { people: ["ada@example.com", "Carol@Example.com"], groups: ["finance", "finance"] };
  const expected = ["ada@example.com", "bob@example.com", "carol@example.com"];
  assert.deepEqual(candidates(finance, groups, {}, owner), expected);
  assert.deepEqual(candidates(twice, groups, {}, owner), expected);
});

test("the owner of a thing decides alone, whether a person or a group", () => {
  assert.deepEqual(candidates(owned, groups, { service: "foo" }, owner), ["ada@example.com"]);
  assert.deepEqual(candidates(owned, groups, { service: "bar" }, owner), [
    "dan@example.com",
    "eve@example.com",
  ]);
  assert.equal(mayDecide(owned, groups, { service: "foo" }, "carol@example.com"), false);
});

test("people and groups stand in where a value has no owner", () => {
  assert.deepEqual(candidates(owned, groups, { service: "new" }, owner), ["carol@example.com"]);
  assert.deepEqual(candidates(owned, groups, {}, owner), ["carol@example.com"]);
});

test("T27: nobody in the rule means nobody, not anybody", () => {
  const denied = { refused: "access_denied" };
  assert.deepEqual(candidates(ownedOnly, groups, { service: "new" }, owner), denied);
  assert.deepEqual(candidates(ownedOnly, groups, { service: "new" }, by("ada@example.com")), denied);
  assert.deepEqual(candidates({ people: [], groups: [] }, groups, {}, owner), denied);
  assert.deepEqual(candidates({ people: [], groups: ["unknown"] }, groups, {}, owner), denied);
  assert.equal(mayDecide(ownedOnly, groups, { service: "new" }, "ada@example.com"), false);
});

test("T27: an owner that turns out to be nobody does not fall back to somebody else", () => {
  assert.deepEqual(candidates(owned, groups, { service: "gone" }, owner), { refused: "access_denied" });
});

test("T27: an owner is looked up by what is there, not by what is inherited, nor by anything but text", () => {
  for (const service of ["constructor", "toString", "__proto__", "hasOwnProperty", 1, true, null, ["foo"]])
    assert.deepEqual(candidates(ownedOnly, groups, { service }, owner), { refused: "access_denied" });
  const inherited = Object.create({ service: "foo" });
  assert.deepEqual(candidates(ownedOnly, groups, inherited, owner), { refused: "access_denied" });
});

test("T8: a hint selects within the operator's rule and never adds anybody", () => {
  assert.deepEqual(candidates(finance, groups, {}, by("BOB@example.com")), ["bob@example.com"]);
  const unknown = { refused: "unknown_user_id" };
  assert.deepEqual(candidates(finance, groups, {}, by("mallory@example.com")), unknown);
  assert.deepEqual(candidates(finance, groups, {}, by("finance")), unknown);
  assert.deepEqual(candidates(finance, groups, {}, by("")), unknown);
  assert.deepEqual(candidates(owned, groups, { service: "foo" }, by("carol@example.com")), unknown);
});

test("T8: an address that only looks like one of the rule's is another one", () => {
  const kate = { people: ["kate@example.com"], groups: [] };
  assert.deepEqual(candidates(kate, groups, {}, by("\u212Aate@example.com")), { refused: "unknown_user_id" });
  assert.equal(mayDecide(kate, groups, {}, "\u212Aate@example.com"), false);
  assert.equal(mayDecide(kate, groups, {}, "Kate@example.com"), true);
});

test("authority is that of the rule as it is now, not as it was when it was asked", () => {
  assert.equal(mayDecide(finance, groups, {}, "bob@example.com"), true);
  assert.equal(mayDecide(finance, new Map([["finance", ["ada@example.com"]]]), {}, "bob@example.com"), false);
});

test("whoever is asked may decide, and nobody else", () => {
  for (const rule of [finance, owned, ownedOnly])
    for (const service of ["foo", "bar", "gone", "new"]) {
      const asked = candidates(rule, groups, { service }, owner);
      for (const email of ["ada", "bob", "carol", "dan", "eve", "mallory"].map(
        (name) => `${name}@example.com`,
      ))
        assert.equal(
          mayDecide(rule, groups, { service }, email),
          Array.isArray(asked) && asked.includes(email),
        );
    }
});
