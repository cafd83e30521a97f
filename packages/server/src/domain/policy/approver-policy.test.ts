import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@countersign/protocol";
import type { ApproverPolicy } from "../action/action-type.ts";
import { mayDecide, selectCandidates } from "./approver-policy.ts";

const groups = new Map([
  ["finance", ["Bob@example.com", "ada@example.com"]],
  ["oncall", ["eve@example.com", "dan@example.com"]],
]);
const finance: ApproverPolicy = { people: ["Carol@Example.com"], groups: ["finance"] };
const owned: ApproverPolicy = {
  people: ["carol@example.com"],
  groups: [],
  owner: { field: "service", of: { foo: "Ada@example.com", bar: "oncall", gone: "nobodies" } },
};
const ownedOnly: ApproverPolicy = { ...owned, people: [] };
const one = (approvers: ApproverPolicy, bound: JsonObject = {}) => [{ approvers, bound }];
const owner = { by: "owner" } as const;
const by = (email: string) => ({ by: "email", email }) as const;

test("without an owner, everyone the rule names is asked: lower case, sorted, each once", () => {
  const twice = { people: ["ada@example.com", "Carol@Example.com"], groups: ["finance", "finance"] };
  const expected = ["ada@example.com", "bob@example.com", "carol@example.com"];
  assert.deepEqual(selectCandidates(one(finance), groups, owner), expected);
  assert.deepEqual(selectCandidates(one(twice), groups, owner), expected);
});

test("the owner of a thing decides alone, whether a person or a group", () => {
  assert.deepEqual(selectCandidates(one(owned, { service: "foo" }), groups, owner), ["ada@example.com"]);
  assert.deepEqual(selectCandidates(one(owned, { service: "bar" }), groups, owner), [
    "dan@example.com",
    "eve@example.com",
  ]);
  assert.equal(mayDecide(one(owned, { service: "foo" }), groups, "carol@example.com"), false);
});

test("people and groups stand in where a value has no owner", () => {
  assert.deepEqual(selectCandidates(one(owned, { service: "new" }), groups, owner), ["carol@example.com"]);
  assert.deepEqual(selectCandidates(one(owned), groups, owner), ["carol@example.com"]);
});

test("several parts are decided by those who may decide each of them, and of none nobody is", () => {
  const foo = { approvers: owned, bound: { service: "foo" } };
  const bar = { approvers: owned, bound: { service: "bar" } };
  const money = { approvers: finance, bound: {} };
  assert.deepEqual(selectCandidates([money, foo], groups, owner), ["ada@example.com"]);
  assert.deepEqual(selectCandidates([foo, bar], groups, owner), { refused: "access_denied" });
  assert.deepEqual(selectCandidates([money, foo], groups, by("bob@example.com")), {
    refused: "unknown_user_id",
  });
  assert.equal(mayDecide([money, foo], groups, "ada@example.com"), true);
  assert.equal(mayDecide([foo, money], groups, "bob@example.com"), false);
  assert.deepEqual(selectCandidates([], groups, owner), { refused: "access_denied" });
  assert.equal(mayDecide([], groups, "ada@example.com"), false);
});

test("T27: nobody in the rule means nobody, not anybody", () => {
  const denied = { refused: "access_denied" };
  assert.deepEqual(selectCandidates(one(ownedOnly, { service: "new" }), groups, owner), denied);
  assert.deepEqual(
    selectCandidates(one(ownedOnly, { service: "new" }), groups, by("ada@example.com")),
    denied,
  );
  assert.deepEqual(selectCandidates(one({ people: [], groups: [] }), groups, owner), denied);
  assert.deepEqual(selectCandidates(one({ people: [], groups: ["unknown"] }), groups, owner), denied);
  assert.equal(mayDecide(one(ownedOnly, { service: "new" }), groups, "ada@example.com"), false);
});

test("T27: an owner that turns out to be nobody does not fall back to somebody else", () => {
  assert.deepEqual(selectCandidates(one(owned, { service: "gone" }), groups, owner), {
    refused: "access_denied",
  });
});

test("T27: an owner is looked up by what is there, not by what is inherited, nor by anything but text", () => {
  for (const service of ["constructor", "toString", "__proto__", "hasOwnProperty", 1, true, null, ["foo"]])
    assert.deepEqual(selectCandidates(one(ownedOnly, { service }), groups, owner), {
      refused: "access_denied",
    });
  const inherited = Object.create({ service: "foo" });
  assert.deepEqual(selectCandidates(one(ownedOnly, inherited), groups, owner), { refused: "access_denied" });
});

test("T8: a hint selects within the operator's rule and never adds anybody", () => {
  assert.deepEqual(selectCandidates(one(finance), groups, by("BOB@example.com")), ["bob@example.com"]);
  const unknown = { refused: "unknown_user_id" };
  assert.deepEqual(selectCandidates(one(finance), groups, by("mallory@example.com")), unknown);
  assert.deepEqual(selectCandidates(one(finance), groups, by("finance")), unknown);
  assert.deepEqual(selectCandidates(one(finance), groups, by("")), unknown);
  assert.deepEqual(
    selectCandidates(one(owned, { service: "foo" }), groups, by("carol@example.com")),
    unknown,
  );
});

test("T8: an address that only looks like one of the rule's is another one", () => {
  const kate = { people: ["kate@example.com"], groups: [] };
  assert.deepEqual(selectCandidates(one(kate), groups, by("\u212Aate@example.com")), {
    refused: "unknown_user_id",
  });
  assert.equal(mayDecide(one(kate), groups, "\u212Aate@example.com"), false);
  assert.equal(mayDecide(one(kate), groups, "Kate@example.com"), true);
});

test("authority is that of the rule as it is now, not as it was when it was asked", () => {
  assert.equal(mayDecide(one(finance), groups, "bob@example.com"), true);
  assert.equal(
    mayDecide(one(finance), new Map([["finance", ["ada@example.com"]]]), "bob@example.com"),
    false,
  );
});

test("whoever is asked may decide, and nobody else", () => {
  for (const rule of [finance, owned, ownedOnly])
    for (const service of ["foo", "bar", "gone", "new"]) {
      const asked = selectCandidates(one(rule, { service }), groups, owner);
      for (const email of ["ada", "bob", "carol", "dan", "eve", "mallory"].map(
        (name) => `${name}@example.com`,
      ))
        assert.equal(
          mayDecide(one(rule, { service }), groups, email),
          Array.isArray(asked) && asked.includes(email),
        );
    }
});
