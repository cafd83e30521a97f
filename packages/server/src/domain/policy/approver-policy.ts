/**
 * Who may decide: the operator's rule applied to one action. Pure, and closed: what the rule does not name is refused.
 * An agent's hint selects among those whom the rule allows and never adds anybody.
 */
import type { JsonObject } from "@countersign/protocol";
import type { ApproverPolicy } from "../action/action-type.ts";
import { normalizeEmail } from "../people/approver.ts";

/** Whom the agent wants asked: whoever the rule says, one person, or those of a group. */
export type Hint =
  | { readonly by: "owner" }
  | { readonly by: "email"; readonly email: string }
  | { readonly by: "group"; readonly group: string };

/** The operator's rule for one part of an action, with the fields of that part. */
export type PartPolicy = { readonly approvers: ApproverPolicy; readonly bound: JsonObject };

/** Members, by group. */
export type Groups = ReadonlyMap<string, readonly string[]>;

/**
 * The e-mail addresses of those to ask, lower case and sorted, each once. `access_denied`: nobody may approve this
 * action, all of it. `unknown_user_id`: nobody hinted at is one of those who may.
 */
export function selectCandidates(
  parts: readonly PartPolicy[],
  groups: Groups,
  hint: Hint,
): string[] | { readonly refused: "unknown_user_id" | "access_denied" } {
  const all = listAllowedEmails(parts, groups);
  if (all.length === 0) return { refused: "access_denied" };
  if (hint.by === "owner") return all;
  const hintedNames = hint.by === "email" ? [hint.email] : (groups.get(hint.group) ?? []);
  const hintedEmails = new Set(hintedNames.map(normalizeEmail));
  const chosen = all.filter((email) => hintedEmails.has(email));
  return chosen.length > 0 ? chosen : { refused: "unknown_user_id" };
}

/** Whether this person may decide at this instant, asked again when they do. */
export function mayDecide(parts: readonly PartPolicy[], groups: Groups, email: string): boolean {
  return listAllowedEmails(parts, groups).includes(normalizeEmail(email));
}

/** Everyone whom the rules of all parts allow; of no parts, nobody. */
function listAllowedEmails(parts: readonly PartPolicy[], groups: Groups): string[] {
  const [first = [], ...others] = parts.map((part) => listAllowedForPart(part, groups));
  return first.filter((email) => others.every((other) => other.includes(email)));
}

/** Everyone the rule allows: the owner where there is one for this action, otherwise people and groups. */
function listAllowedForPart({ approvers: policy, bound }: PartPolicy, groups: Groups): string[] {
  const owner = ownerOf(policy, bound);
  const names =
    owner === undefined
      ? [...policy.people, ...policy.groups.flatMap(membersOf)]
      : [owner].flatMap(expandName);
  return [...new Set(names.map(normalizeEmail))].sort();

  function expandName(name: string): readonly string[] {
    return name.includes("@") ? [name] : membersOf(name);
  }
  function membersOf(group: string): readonly string[] {
    return groups.get(group) ?? [];
  }
}

function ownerOf({ owner }: ApproverPolicy, bound: JsonObject): string | undefined {
  if (owner === undefined || !Object.hasOwn(bound, owner.field)) return undefined;
  const value = bound[owner.field];
  return typeof value === "string" && Object.hasOwn(owner.of, value) ? owner.of[value] : undefined;
}
