/**
 * A second directory, for tests: groups by stable approver id, and deactivation, as a SCIM server would keep them. Each group
 * has a version in the store (a record of kind `replay` stands in for a kind of its own), so that a commit that depends on a
 * membership conflicts if the group changed.
 */
import type { Directory, DirectoryEntry } from "../../../server/src/directory/directory.ts";
import { absent, type Store, type Versioned, type Write } from "../../../server/src/store/store.ts";

export type StoredDirectory = Directory & {
  readonly setMembers: (group: string, approverIds: readonly string[]) => Promise<void>;
  readonly setActive: (approverId: string, active: boolean) => void;
};

export function createStoredDirectory(
  store: Store,
  owners: { readonly [value: string]: string } = {},
): StoredDirectory {
  const members = new Map<string, readonly string[]>();
  const deactivated = new Set<string>();
  const toEntry = (found: Versioned<"approver"> | undefined): DirectoryEntry | undefined =>
    found && { ...found, active: !deactivated.has(found.record.id) };
  const versionId = (group: string) => `directory-group:${group}`;
  const readVersion = async (group: string) =>
    (await store.read("replay", versionId(group)))?.version ?? absent;

  return {
    findByEmail: async (email) => toEntry(await store.findApproverByEmail(email)),
    findById: async (id) => toEntry(await store.read("approver", id)),
    listMembers: async (group) => {
      const emails: string[] = [];
      for (const id of members.get(group) ?? []) {
        const found = await store.read("approver", id);
        if (found) emails.push(found.record.email);
      }
      return emails;
    },
    listGroupsOf: async ({ id }, groups) => {
      const guards: Write[] = [];
      for (const group of groups)
        guards.push({ check: "replay", id: versionId(group), ifVersion: await readVersion(group) });
      return { value: groups.filter((group) => members.get(group)?.includes(id)), guards };
    },
    findOwner: async ({ value }) => ({
      value: Object.hasOwn(owners, value) ? owners[value] : undefined,
      guards: [],
    }),
    setMembers: async (group, approverIds) => {
      const record = { id: versionId(group), expiresAt: store.now() + 3_600_000 };
      const ifVersion = await readVersion(group);
      await store.commitUnlogged({ writes: [{ put: "replay", record, ifVersion }] });
      members.set(group, approverIds);
    },
    setActive: (approverId, active) => {
      if (active) deactivated.delete(approverId);
      else deactivated.add(approverId);
    },
  };
}
