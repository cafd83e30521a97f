/** Reads from the directory what the approver policy and the relations need, so that both stay pure. */
import type { JsonObject } from "@countersign/protocol";
import type { Directory, DirectoryEntry } from "../../directory/directory.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import {
  getOwnerKey,
  type Hint,
  listPolicyGroups,
  type PartPolicy,
  type PolicySnapshot,
} from "../../domain/policy/approver-policy.ts";
import { listRelationGroups, type Relations } from "../../domain/policy/relation.ts";
import type { Write } from "../../store/store.ts";

/** One action of an agent: what the snapshot is read for. */
export type PolicyQuery = {
  readonly agent: string;
  readonly parts: readonly { readonly policy: ActionPolicy; readonly bound: JsonObject }[];
  readonly relations: Relations | undefined;
};

/** Reads owners, and all members of each group that the query and the hint name: to select the candidates. */
export async function readCandidateSnapshot(
  directory: Directory,
  query: PolicyQuery,
  hint: Hint,
  at: number,
): Promise<PolicySnapshot> {
  const { parts } = await readOwners(directory, query, at);
  const names = listGroupNames(query, parts);
  if (hint.by === "group") names.add(hint.group);
  const groups = new Map<string, readonly string[]>();
  for (const name of names) groups.set(name, await directory.listMembers(name, at));
  return { parts, groups };
}

/**
 * Reads owners, and which of the groups that the query names this approver is a member of: to check their authority. Reads no
 * other members. The guards belong into the commit that depends on the authority.
 */
export async function readApproverSnapshot(
  directory: Directory,
  query: PolicyQuery,
  approver: DirectoryEntry["record"],
  at: number,
): Promise<PolicySnapshot & { readonly guards: readonly Write[] }> {
  const { parts, guards } = await readOwners(directory, query, at);
  const names = [...listGroupNames(query, parts)];
  const memberships = await directory.listGroupsOf(approver, names, at);
  const groups = new Map(memberships.value.map((group) => [group, [approver.email]]));
  return { parts, groups, guards: [...guards, ...memberships.guards] };
}

async function readOwners(
  directory: Directory,
  { parts }: PolicyQuery,
  at: number,
): Promise<{ readonly parts: readonly PartPolicy[]; readonly guards: readonly Write[] }> {
  const policies: PartPolicy[] = [];
  const guards: Write[] = [];
  for (const { policy, bound } of parts) {
    const key = getOwnerKey(policy, bound);
    const owner = key && (await directory.findOwner(key, at));
    policies.push({ approvers: policy.approvers, owner: owner?.value });
    guards.push(...(owner?.guards ?? []));
  }
  return { parts: policies, guards };
}

function listGroupNames(
  { agent, parts, relations }: PolicyQuery,
  policies: readonly PartPolicy[],
): Set<string> {
  const typed = parts.map(({ policy, bound }) => ({ type: policy.definition.type, bound }));
  return new Set([
    ...listPolicyGroups(policies),
    ...(relations ? listRelationGroups(relations, agent, typed) : []),
  ]);
}
