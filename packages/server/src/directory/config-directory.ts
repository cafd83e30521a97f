/**
 * The directory of the configuration: groups and owners as declared there, approvers as the operator invited them. Groups
 * and owners are read from memory and change with a reload, which no commit can conflict with: there is nothing to guard.
 */
import type { Source } from "../config/policy.ts";
import type { Policy } from "../config/sections.ts";
import { normalizeEmail } from "../domain/people/approver.ts";
import type { Store, Versioned } from "../store/store.ts";
import type { Directory, DirectoryEntry } from "./directory.ts";

export type ConfigDirectoryDeps = {
  readonly policy: Source<Pick<Policy, "actions" | "groups">>;
  readonly store: Pick<Store, "findApproverByEmail" | "read">;
};

export function createConfigDirectory({ policy, store }: ConfigDirectoryDeps): Directory {
  const listMembers = (group: string) => [
    ...new Set((policy.current().groups.get(group) ?? []).map(normalizeEmail)),
  ];
  return {
    findByEmail: async (email) => toEntry(await store.findApproverByEmail(email)),
    findById: async (id) => toEntry(await store.read("approver", id)),
    listMembers: async (group) => listMembers(group),
    listGroupsOf: async ({ email }, groups) => ({
      value: groups.filter((group) => listMembers(group).includes(normalizeEmail(email))),
      guards: [],
    }),
    findOwner: async ({ type, field, value }) => {
      const owner = policy.current().actions.get(type)?.approvers.owner;
      const isKnown = owner?.field === field && Object.hasOwn(owner.of, value);
      return { value: isKnown ? owner.of[value] : undefined, guards: [] };
    },
  };
}

/** Every approver of the store is active: the operator removes those who are not. */
function toEntry(found: Versioned<"approver"> | undefined): DirectoryEntry | undefined {
  return found && { ...found, active: true };
}
