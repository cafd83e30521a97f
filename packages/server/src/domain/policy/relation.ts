/**
 * Relations between agents, action types, values and approvers. A request needs both sides: what the agent may request of
 * whom, and what the approver may decide. A side that is not configured allows everything; a side that is configured allows
 * only what one of its relations matches. Relations are checked when an action is requested, decided and redeemed.
 */
import type { Json, JsonObject } from "@countersign/protocol";
import { normalizeEmail } from "../people/approver.ts";
import type { Groups } from "./approver-policy.ts";

/** The actions that a relation applies to. */
type RelationScope = {
  /** Default: all types. */
  readonly types?: readonly string[];
  /** Allowed values by bound field. Of a list, each item must be allowed. */
  readonly where: { readonly [field: string]: readonly Json[] };
};
type People = { readonly people: readonly string[]; readonly groups: readonly string[] };

export type AgentRelation = RelationScope & {
  /** Agent ids. Default: all agents. */
  readonly agents?: readonly string[];
  /** The approvers that these agents may request. Default: all that the approver policy of the action allows. */
  readonly of?: People;
};
export type ApproverRelation = RelationScope & People;

export type Relations = {
  readonly agents?: readonly AgentRelation[];
  readonly approvers?: readonly ApproverRelation[];
};

type Part = { readonly type: string; readonly bound: JsonObject };

/** Returns true if the agent may request all parts of this approver, and the approver may decide all parts. */
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
            matchesAgent(relation, agent) &&
            matchesScope(relation, part) &&
            (relation.of === undefined || includesApprover(relation.of)),
        )) &&
      (approvers === undefined ||
        approvers.some((relation) => matchesScope(relation, part) && includesApprover(relation))),
  );
}

/** Lists the groups whose members `isRelated` depends on for this agent and these parts. */
export function listRelationGroups(
  { agents = [], approvers = [] }: Relations,
  agent: string,
  parts: readonly Part[],
): readonly string[] {
  const matchesAny = (relation: RelationScope) => parts.some((part) => matchesScope(relation, part));
  return [
    ...agents.flatMap((relation) =>
      relation.of && matchesAgent(relation, agent) && matchesAny(relation) ? relation.of.groups : [],
    ),
    ...approvers.flatMap((relation) => (matchesAny(relation) ? relation.groups : [])),
  ];
}

function matchesAgent({ agents }: AgentRelation, agent: string): boolean {
  return agents === undefined || agents.includes(agent);
}

function matchesScope({ types, where }: RelationScope, { type, bound }: Part): boolean {
  if (types !== undefined && !types.includes(type)) return false;
  return Object.entries(where).every(([field, allowed]) => {
    const value = Object.hasOwn(bound, field) ? bound[field] : undefined;
    const items: readonly (Json | undefined)[] = Array.isArray(value) ? value : [value];
    return items.length > 0 && items.every((item) => item !== undefined && allowed.includes(item));
  });
}
