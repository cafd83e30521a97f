/**
 * Who may have to do with whom: the operator's relations between agents, action types, values and people. A request needs
 * both sides, what the agent may ask of whom and what the person may decide; a side about which nothing is said is open,
 * and where anything is said, what no line covers is refused. Relations are rules like the others: they hold when
 * something is asked, decided and redeemed.
 */
import type { Json, JsonObject } from "@countersign/protocol";
import { normalizeEmail } from "../people/approver.ts";
import type { Groups } from "./approver-policy.ts";

/** For which actions a line is. Where a field is named, its value is one of those given; of a list, each item is. */
type RelationScope = {
  /** All of them, where it says nothing. */
  readonly types?: readonly string[];
  readonly where: { readonly [field: string]: readonly Json[] };
};
type People = { readonly people: readonly string[]; readonly groups: readonly string[] };

export type AgentRelation = RelationScope & {
  /** Ids; every agent, where it says nothing. */
  readonly agents?: readonly string[];
  /** Of whom they may ask; of everyone whom the action's own rule names, where it says nothing. */
  readonly of?: People;
};
export type ApproverRelation = RelationScope & People;

export type Relations = {
  readonly agents?: readonly AgentRelation[];
  readonly approvers?: readonly ApproverRelation[];
};

type Part = { readonly type: string; readonly bound: JsonObject };

/** Whether this agent may ask this person for all of these, and the person may decide all of them. */
export function isRelated(
  { agents, approvers }: Relations,
  groups: Groups,
  agent: string,
  parts: readonly Part[],
  email: string,
): boolean {
  const includesApprover = ({ people, groups: chosen }: People) =>
    [...people, ...chosen.flatMap((group) => groups.get(group) ?? [])]
      .map(normalizeEmail)
      .includes(normalizeEmail(email));
  return parts.every(
    (part) =>
      (agents === undefined ||
        agents.some(
          (relation) =>
            (relation.agents === undefined || relation.agents.includes(agent)) &&
            matchesScope(relation, part) &&
            (relation.of === undefined || includesApprover(relation.of)),
        )) &&
      (approvers === undefined ||
        approvers.some((relation) => matchesScope(relation, part) && includesApprover(relation))),
  );
}

function matchesScope({ types, where }: RelationScope, { type, bound }: Part): boolean {
  if (types !== undefined && !types.includes(type)) return false;
  return Object.entries(where).every(([field, values]) => {
    const value = Object.hasOwn(bound, field) ? bound[field] : undefined;
    const items: readonly (Json | undefined)[] = Array.isArray(value) ? value : [value];
    return items.length > 0 && items.every((item) => item !== undefined && values.includes(item));
  });
}
