/**
 * The approver policy of an action: selects the approvers who may decide. Pure: the caller reads owners and members from the
 * directory first. An approver whom the policy does not name is refused; a hint narrows the selection and never adds to it.
 */
import type { JsonObject } from "@countersign/protocol";
import type { ActionPolicy, ApproverPolicy } from "../action/action-type.ts";
import { normalizeEmail } from "../people/approver.ts";

/** The approvers whom the agent would like to be notified: all that the policy allows, one person, or a group. */
export type Hint =
  | { readonly by: "policy" }
  | { readonly by: "email"; readonly email: string }
  | { readonly by: "group"; readonly group: string };

/** The value whose owner decides: the text in the owner field of an action type. */
export type OwnerKey = { readonly type: string; readonly field: string; readonly value: string };

/** The approver policy of one part of an action, with the owner that the directory returned for it. */
export type PartPolicy = {
  readonly approvers: Pick<ApproverPolicy, "people" | "groups">;
  /** An e-mail address, or the name of a group (without `@`). Undefined: people and groups decide. */
  readonly owner: string | undefined;
};

/** E-mail addresses of the members, by group. A group that is missing has no members. */
export type Groups = ReadonlyMap<string, readonly string[]>;

/** What the directory returned for one action: the input of every decision about approvers. */
export type PolicySnapshot = { readonly parts: readonly PartPolicy[]; readonly groups: Groups };

/** Returns the key to look up the owner by; undefined if the policy has no owner field or its value is not text. */
export function getOwnerKey(
  { definition, approvers: { owner } }: Pick<ActionPolicy, "definition" | "approvers">,
  bound: JsonObject,
): OwnerKey | undefined {
  if (owner === undefined || !Object.hasOwn(bound, owner.field)) return undefined;
  const value = bound[owner.field];
  return typeof value === "string" ? { type: definition.type, field: owner.field, value } : undefined;
}

/** Lists the groups whose members these policies depend on. */
export function listPolicyGroups(parts: readonly PartPolicy[]): readonly string[] {
  return parts.flatMap(({ approvers, owner }) => {
    if (owner === undefined) return approvers.groups;
    return isEmail(owner) ? [] : [owner];
  });
}

/**
 * Selects the candidates: e-mail addresses, lower case, sorted, each once. Refuses with `access_denied` if no approver may
 * decide all parts, and with `unknown_user_id` if the hint matches none of those who may.
 */
export function selectCandidates(
  snapshot: PolicySnapshot,
  hint: Hint,
): string[] | { readonly refused: "unknown_user_id" | "access_denied" } {
  const allowed = listAllowedEmails(snapshot);
  if (allowed.length === 0) return { refused: "access_denied" };
  if (hint.by === "policy") return allowed;
  const hinted = hint.by === "email" ? [hint.email] : (snapshot.groups.get(hint.group) ?? []);
  const hintedEmails = new Set(hinted.map(normalizeEmail));
  const chosen = allowed.filter((email) => hintedEmails.has(email));
  return chosen.length > 0 ? chosen : { refused: "unknown_user_id" };
}

/** Returns true if this approver may decide all parts. Checked again at the decision and at the issue of the token. */
export function mayDecide(snapshot: PolicySnapshot, email: string): boolean {
  return listAllowedEmails(snapshot).includes(normalizeEmail(email));
}

/** Intersects the approvers of all parts. Without parts the result is empty. */
function listAllowedEmails({ parts, groups }: PolicySnapshot): string[] {
  const [first = [], ...others] = parts.map((part) => listAllowedForPart(part, groups));
  return first.filter((email) => others.every((other) => other.includes(email)));
}

/** The owner decides alone if the value has one; otherwise people and groups decide. */
function listAllowedForPart({ approvers, owner }: PartPolicy, groups: Groups): string[] {
  const listMembers = (group: string) => groups.get(group) ?? [];
  const emails =
    owner === undefined
      ? [...approvers.people, ...approvers.groups.flatMap(listMembers)]
      : isEmail(owner)
        ? [owner]
        : listMembers(owner);
  return [...new Set(emails.map(normalizeEmail))].sort();
}

/** Group names contain no `@`. */
function isEmail(name: string): boolean {
  return name.includes("@");
}
