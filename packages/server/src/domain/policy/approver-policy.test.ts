import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "@countersign/protocol";
import type { ActionPolicy, ApproverPolicy } from "../action/action-type.ts";
import {
  type Groups,
  getOwnerKey,
  type Hint,
  listPolicyGroups,
  mayDecide,
  type PartPolicy,
  selectCandidates,
} from "./approver-policy.ts";

const groups: Groups = new Map([
  ["finance", ["Bob@example.com", "ada@example.com"]],
  ["oncall", ["eve@example.com", "dan@example.com"]],
]);
const approvers = { people: ["carol@example.com"], groups: [] };
const finance: PartPolicy = {
  approvers: { people: ["Carol@Example.com"], groups: ["finance"] },
  owner: undefined,
};
const ownedByAda: PartPolicy = { approvers, owner: "Ada@example.com" };
const ownedByOncall: PartPolicy = { approvers, owner: "oncall" };
const ownedByUnknownGroup: PartPolicy = { approvers, owner: "former-team" };
const unowned: PartPolicy = { approvers, owner: undefined };
const empty: PartPolicy = { approvers: { people: [], groups: [] }, owner: undefined };

const byPolicy = { by: "policy" } as const;
const byEmail = (email: string) => ({ by: "email", email }) as const;
const select = (parts: readonly PartPolicy[], hint: Hint = byPolicy) =>
  selectCandidates({ parts, groups }, hint);
const may = (parts: readonly PartPolicy[], email: string) => mayDecide({ parts, groups }, email);

describe("selectCandidates", () => {
  test("returns people and members of groups: lower case, sorted, each once", () => {
    const repeated = {
      approvers: { people: ["ada@example.com", "Carol@Example.com"], groups: ["finance", "finance"] },
      owner: undefined,
    };
    const expected = ["ada@example.com", "bob@example.com", "carol@example.com"];
    assert.deepEqual(select([finance]), expected);
    assert.deepEqual(select([repeated]), expected);
  });

  test("returns only the owner, a person or a group, if the value has one", () => {
    assert.deepEqual(select([ownedByAda]), ["ada@example.com"]);
    assert.deepEqual(select([ownedByOncall]), ["dan@example.com", "eve@example.com"]);
    assert.equal(may([ownedByAda], "carol@example.com"), false);
  });

  test("returns people and groups if the value has no owner", () => {
    assert.deepEqual(select([unowned]), ["carol@example.com"]);
  });

  test("intersects the approvers of all parts; without parts there are none", () => {
    assert.deepEqual(select([finance, ownedByAda]), ["ada@example.com"]);
    assert.deepEqual(select([ownedByAda, ownedByOncall]), { refused: "access_denied" });
    assert.deepEqual(select([finance, ownedByAda], byEmail("bob@example.com")), {
      refused: "unknown_user_id",
    });
    assert.equal(may([finance, ownedByAda], "ada@example.com"), true);
    assert.equal(may([ownedByAda, finance], "bob@example.com"), false);
    assert.deepEqual(select([]), { refused: "access_denied" });
    assert.equal(may([], "ada@example.com"), false);
  });

  test("refuses a policy that names no approver, with any hint (T27)", () => {
    const denied = { refused: "access_denied" };
    const unknownGroup = { approvers: { people: [], groups: ["unknown"] }, owner: undefined };
    assert.deepEqual(select([empty]), denied);
    assert.deepEqual(select([empty], byEmail("ada@example.com")), denied);
    assert.deepEqual(select([unknownGroup]), denied);
    assert.equal(may([empty], "ada@example.com"), false);
  });

  test("does not fall back to people and groups if the owner is an empty group (T27)", () => {
    assert.deepEqual(select([ownedByUnknownGroup]), { refused: "access_denied" });
  });

  test("narrows the selection by a hint, which never adds an approver (T8)", () => {
    assert.deepEqual(select([finance], byEmail("BOB@example.com")), ["bob@example.com"]);
    assert.deepEqual(select([finance], { by: "group", group: "finance" }), [
      "ada@example.com",
      "bob@example.com",
    ]);
    const unknown = { refused: "unknown_user_id" };
    assert.deepEqual(select([finance], byEmail("mallory@example.com")), unknown);
    assert.deepEqual(select([finance], byEmail("finance")), unknown);
    assert.deepEqual(select([finance], byEmail("")), unknown);
    assert.deepEqual(select([finance], { by: "group", group: "oncall" }), unknown);
    assert.deepEqual(select([ownedByAda], byEmail("carol@example.com")), unknown);
  });

  test("does not match an address with a look-alike letter (T8)", () => {
    const kate = { approvers: { people: ["kate@example.com"], groups: [] }, owner: undefined };
    assert.deepEqual(select([kate], byEmail("\u212Aate@example.com")), { refused: "unknown_user_id" });
    assert.equal(may([kate], "\u212Aate@example.com"), false);
    assert.equal(may([kate], "Kate@example.com"), true);
  });
});

describe("mayDecide", () => {
  test("follows the groups as they are now", () => {
    assert.equal(may([finance], "bob@example.com"), true);
    const changed = { parts: [finance], groups: new Map([["finance", ["ada@example.com"]]]) };
    assert.equal(mayDecide(changed, "bob@example.com"), false);
  });

  test("allows exactly the approvers that selectCandidates returns", () => {
    for (const part of [finance, ownedByAda, ownedByOncall, ownedByUnknownGroup, unowned, empty]) {
      const candidates = select([part]);
      for (const name of ["ada", "bob", "carol", "dan", "eve", "mallory"]) {
        const email = `${name}@example.com`;
        assert.equal(may([part], email), Array.isArray(candidates) && candidates.includes(email));
      }
    }
  });
});

describe("listPolicyGroups", () => {
  test("returns the groups that decide; of an owned value only a group as owner", () => {
    const owned = { approvers: { people: [], groups: ["finance"] }, owner: "Ada@example.com" };
    assert.deepEqual(listPolicyGroups([finance, owned, ownedByOncall]), ["finance", "oncall"]);
  });
});

describe("getOwnerKey", () => {
  const definition = { type: "deploy" } as ActionPolicy["definition"];
  const owner = { field: "service", of: {} };
  const getKey = (policy: ApproverPolicy, bound: JsonObject) =>
    getOwnerKey({ definition, approvers: policy }, bound);

  test("returns type, field and value", () => {
    assert.deepEqual(getKey({ ...approvers, owner }, { service: "search" }), {
      type: "deploy",
      field: "service",
      value: "search",
    });
    assert.equal(getKey(approvers, { service: "search" }), undefined);
    assert.equal(getKey({ ...approvers, owner }, {}), undefined);
  });

  test("ignores values that are not text, and inherited properties (T27)", () => {
    for (const service of [1, true, null, ["search"]])
      assert.equal(getKey({ ...approvers, owner }, { service }), undefined);
    assert.equal(getKey({ ...approvers, owner }, Object.create({ service: "search" })), undefined);
  });
});
