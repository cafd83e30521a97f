/**
 * The last part of the first gate: a check outside this server, where the operator has one, of whether this agent may ask
 * these people for this. It answers for each of them, and only those it allows are asked. Whatever keeps it from answering
 * in time is a no for now.
 */
import type { JsonObject } from "@countersign/protocol";
import type { Approver } from "../../domain/people/approver.ts";

export type PermissionQuery = {
  /** The agent's id. */
  readonly agent: string;
  readonly audience: string;
  readonly parts: readonly { readonly type: string; readonly bound: JsonObject }[];
  readonly approvers: readonly Pick<Approver, "id" | "email">[];
};

/** Ids of those approvers for whom all parts are allowed. */
export type PermissionResult = { readonly allowed: readonly string[] } | "unavailable";

/** Never throws, and answers within its own limit of time. Declared here, built in `permission/`. */
export type PermissionCheck = { readonly check: (question: PermissionQuery) => Promise<PermissionResult> };

export type PermissionRefusal = "access_denied" | "temporarily_unavailable";
type PermissionRefused = {
  readonly refused: PermissionRefusal;
  readonly why: string;
  readonly gate: "permission";
};

export const permissionRefusal = {
  refused: "access_denied",
  why: "the permission check does not allow this agent to request this action from these approvers",
  gate: "permission",
} as const satisfies PermissionRefused;

/** Those of the people who may be asked. */
export async function checkPermission(
  permission: PermissionCheck,
  question: Omit<PermissionQuery, "approvers">,
  people: readonly Approver[],
): Promise<readonly Approver[] | PermissionRefused> {
  const verdict = await permission.check({ ...question, approvers: people });
  if (verdict === "unavailable")
    return {
      refused: "temporarily_unavailable",
      why: "the permission check is unavailable; no approver was notified; try again",
      gate: "permission",
    };
  const allowed = people.filter(({ id }) => verdict.allowed.includes(id));
  return allowed.length > 0 ? allowed : permissionRefusal;
}
