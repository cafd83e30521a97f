/**
 * Whether a request still holds. Authority follows the stricter of the rules pinned by the request and those in force at
 * the instant of asking, deciding or issuing: of every part of the action, since a yes is to all of it.
 */
import type { AuthenticationLevel } from "@countersign/protocol";
import type { Policy } from "../../config/sections.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import { findNotCombinable } from "../../domain/action/combination.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import { mayDecide } from "../../domain/policy/approver-policy.ts";
import { maxLevel } from "../../domain/policy/level.ts";
import { isRelated } from "../../domain/policy/relation.ts";
import type { ApprovalRequest, RequestPart } from "../../domain/request/request.ts";
import { absent, type Store, type Write } from "../../store/store.ts";

/** The rules in force, one for each part; undefined where a type is gone, or they are not approved together any more. */
export function getCurrentPolicies(
  policy: Policy,
  parts: readonly Pick<RequestPart, "type">[],
): readonly ActionPolicy[] | undefined {
  const policies = parts.flatMap(({ type }) => policy.actions.get(type) ?? []);
  return policies.length === parts.length && !findNotCombinable(policies) ? policies : undefined;
}

/** The level that an approval of this request needs now; undefined where nobody may approve it any more. */
export function getRequiredLevel(
  policy: Policy,
  { parts, level }: ApprovalRequest,
): AuthenticationLevel | undefined {
  return getCurrentPolicies(policy, parts)
    ?.map(({ definition }) => definition.level)
    .reduce(maxLevel, level);
}

/** Whether this agent may still ask for all of it, and of this person, and the person still decide all of it. */
export function mayApprove(
  policy: Policy,
  { id: agent, types }: Agent,
  { email }: Approver,
  { parts }: ApprovalRequest,
): boolean {
  const policies = getCurrentPolicies(policy, parts);
  if (!policies || !parts.every(({ type }) => types.includes(type))) return false;
  const ruled = policies.map(({ approvers }, at) => ({ approvers, bound: parts[at]!.bound }));
  const { relations } = policy.permission;
  return (
    mayDecide(ruled, policy.groups, email) &&
    (!relations || isRelated(relations, policy.groups, agent, parts, email))
  );
}

/** Whether a person has denied any part of it, under whatever terms. */
export async function isDenied(store: Store, parts: readonly RequestPart[]): Promise<boolean> {
  for (const { denyKey: latchKey } of parts) if (await store.read("denial", latchKey)) return true;
  return false;
}

/** That none of it is latched, as guards of a commit. */
export function guardDenials(parts: readonly RequestPart[]): readonly Write[] {
  const ids = new Set(parts.map(({ denyKey: latchKey }) => latchKey));
  return [...ids].map((id) => ({ check: "denial", id, ifVersion: absent }));
}
