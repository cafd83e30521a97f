/**
 * The directory: who the approvers are, which groups they belong to, and who owns a value. The approver policy and the
 * relations name people by e-mail address and groups by name; a directory resolves these names. The first implementation is
 * the configuration (`config-directory.ts`); another one (SCIM, LDAP, a service catalogue) implements the same type, and no
 * use case changes. Records store an approver's id, never the address, which may change.
 */
import type { OwnerKey } from "../domain/policy/approver-policy.ts";
import type { Versioned, Write } from "../store/store.ts";

/** An approver as the directory knows them, with the version of the record, to guard a commit. */
export type DirectoryEntry = Versioned<"approver"> & {
  /** False for a deactivated approver: not notified, not signed in, and past approvals are not redeemed. */
  readonly active: boolean;
};

/** A value that a commit depends on. `guards` make the commit conflict if the directory changed since the read. */
export type Guarded<T> = { readonly value: T; readonly guards: readonly Write[] };

/** `at` is milliseconds since the epoch: memberships and owners may be limited in time. */
export type Directory = {
  /** Finds an approver, active or not, by current e-mail address in lower case. */
  readonly findByEmail: (email: string) => Promise<DirectoryEntry | undefined>;
  /** Finds an approver, active or not, by the stable id. */
  readonly findById: (id: string) => Promise<DirectoryEntry | undefined>;
  /** Lists the e-mail addresses of a group's members, lower case; empty for an unknown group. Members may be unknown here. */
  readonly listMembers: (group: string, at: number) => Promise<readonly string[]>;
  /** Selects, of these groups, those that the approver is a member of. Agrees with `listMembers`. */
  readonly listGroupsOf: (
    approver: DirectoryEntry["record"],
    groups: readonly string[],
    at: number,
  ) => Promise<Guarded<readonly string[]>>;
  /** Finds the owner of a value: an e-mail address, or the name of a group (without `@`). */
  readonly findOwner: (key: OwnerKey, at: number) => Promise<Guarded<string | undefined>>;
};
