/**
 * Checks whether a request is still authorized. The stricter of the policy pinned by the request and the current policy
 * applies to every part of the action: when it is requested, decided and redeemed.
 */
import type { AuthenticationLevel } from "@countersign/protocol";
import type { Policy } from "../../config/sections.ts";
import type { Directory } from "../../directory/directory.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import { findNotCombinable } from "../../domain/action/combination.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import { mayDecide } from "../../domain/policy/approver-policy.ts";
import { maxLevel } from "../../domain/policy/level.ts";
import { isRelated } from "../../domain/policy/relation.ts";
import type { ApprovalRequest, RequestPart } from "../../domain/request/request.ts";
import { absent, type Store, type Write } from "../../store/store.ts";
import { readApproverSnapshot } from "./read-policy-snapshot.ts";

/** Returns the current policy of each part; undefined if a type no longer exists or the types are no longer combinable. */
export function getCurrentPolicies(
  policy: Policy,
  parts: readonly Pick<RequestPart, "type">[],
): readonly ActionPolicy[] | undefined {
  const policies = parts.flatMap(({ type }) => policy.actions.get(type) ?? []);
  return policies.length === parts.length && !findNotCombinable(policies) ? policies : undefined;
}

/** Returns the level that an approval of this request currently needs; undefined if it can no longer be approved. */
export function getRequiredLevel(
  policy: Policy,
  { parts, level }: ApprovalRequest,
): AuthenticationLevel | undefined {
  return getCurrentPolicies(policy, parts)
    ?.map(({ definition }) => definition.level)
    .reduce(maxLevel, level);
}

/**
 * Checks that the agent may still request all parts of this approver, and that the approver may still decide all of them.
 * Returns guards for the commit that depends on it (none if the directory is the configuration); undefined if not authorized.
 */
export async function checkAuthority(
  { policy, directory }: { readonly policy: Policy; readonly directory: Directory },
  { id: agent, types }: Agent,
  approver: Approver,
  { parts }: ApprovalRequest,
  now: number,
): Promise<readonly Write[] | undefined> {
  const policies = getCurrentPolicies(policy, parts);
  if (!policies || !parts.every(({ type }) => types.includes(type))) return undefined;
  const { relations } = policy.permission;
  const policyParts = policies.map((current, i) => ({ policy: current, bound: parts[i]!.bound }));
  const query = { agent, parts: policyParts, relations };
  const snapshot = await readApproverSnapshot(directory, query, approver, now);
  const isAuthorized =
    mayDecide(snapshot, approver.email) &&
    (!relations || isRelated(relations, snapshot.groups, agent, parts, approver.email));
  return isAuthorized ? snapshot.guards : undefined;
}

/** Returns true if a denial blocks any part, including a denial of another request. */
export async function isDenied(store: Store, parts: readonly RequestPart[]): Promise<boolean> {
  for (const { denyKey } of parts) if (await store.read("denial", denyKey)) return true;
  return false;
}

/** Guards: the commit conflicts if a denial blocks any part. */
export function guardDenials(parts: readonly RequestPart[]): readonly Write[] {
  const ids = new Set(parts.map(({ denyKey }) => denyKey));
  return [...ids].map((id) => ({ check: "denial", id, ifVersion: absent }));
}
