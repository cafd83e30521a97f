import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "@countersign/protocol";
import { type AgentRelation, isRelated, type Relations } from "./relation.ts";

const groups = new Map([["finance", ["Ada@example.com", "bob@example.com"]]]);
type Part = { readonly type: string; readonly bound: JsonObject };
const eur: Part = { type: "refund", bound: { order: "A-1", currency: "EUR", tags: ["a", "b"], copies: 2 } };
const usd: Part = { type: "refund", bound: { order: "A-1", currency: "USD" } };
const export_: Part = { type: "export", bound: {} };
const anyone = { people: [], groups: ["finance"] };

function may(relations: Relations, parts = [eur], email = "ada@example.com", agent = "desk"): boolean {
  return isRelated(relations, groups, agent, parts, email);
}

describe("isRelated", () => {
  test("allows everything on a side without relations, and otherwise only what one matches", () => {
    assert.ok(may({}));
    assert.ok(!may({ agents: [] }));
    assert.ok(!may({ approvers: [] }));
  });

  test("allows an agent to request what one of its relations matches, of the named approvers", () => {
    const relations = { agents: [{ agents: ["desk"], types: ["refund"], where: {}, of: anyone }] };
    assert.ok(may(relations));
    assert.ok(!may(relations, [eur], "carol@example.com"));
    assert.ok(!may(relations, [eur], "ada@example.com", "other"));
    assert.ok(!may(relations, [export_]));
    assert.ok(may({ agents: [{ where: {} }] }, [export_], "carol@example.com", "any"));
  });

  test("allows an approver to decide what one of their relations matches", () => {
    const relations = {
      approvers: [{ people: ["ADA@example.com"], groups: [], types: ["refund"], where: {} }],
    };
    assert.ok(may(relations));
    assert.ok(!may(relations, [eur], "bob@example.com"));
    assert.ok(!may(relations, [export_]));
  });

  test("requires both sides", () => {
    const agents = [{ agents: ["desk"], where: {}, types: ["refund"] }];
    const approvers = [{ ...anyone, types: ["refund"], where: { currency: ["EUR"] } }];
    assert.ok(may({ agents, approvers }));
    assert.ok(!may({ agents, approvers }, [usd]));
    assert.ok(!may({ agents, approvers }, [eur], "ada@example.com", "other"));
  });

  test("matches values of the same type, each item of a list, and no missing field", () => {
    const where = (field: string, values: (string | number)[]) =>
      may({ agents: [{ where: { [field]: values } }] });
    assert.ok(where("currency", ["USD", "EUR"]));
    assert.ok(!where("currency", ["USD"]));
    assert.ok(where("copies", [2]));
    assert.ok(!where("copies", ["2"]));
    assert.ok(where("tags", ["a", "b", "c"]));
    assert.ok(!where("tags", ["a"]));
    assert.ok(!where("region", ["eu"]));
    assert.ok(!where("toString", ["x"]));
    assert.ok(
      !may({ agents: [{ where: { tags: ["a"] } }] }, [{ type: "refund", bound: { ...eur.bound, tags: [] } }]),
    );
  });

  test("requires every part to match", () => {
    const agents: AgentRelation[] = [
      { types: ["refund"], where: { currency: ["EUR"] } },
      { types: ["export"], where: {} },
    ];
    assert.ok(may({ agents }, [eur, export_]));
    assert.ok(!may({ agents }, [eur, usd]));
  });
});
