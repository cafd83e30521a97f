/**
 * The external permission check: may this agent request this action from these approvers? It returns those for whom it is
 * allowed; only they are notified. If it fails or times out, the request is refused for now.
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

/** Ids of the approvers for whom all parts are allowed. */
export type PermissionResult = { readonly allowed: readonly string[] } | "unavailable";

/** Never rejects, and returns within its own timeout. Declared here, created in `permission/`. */
export type PermissionCheck = { readonly check: (query: PermissionQuery) => Promise<PermissionResult> };

export type PermissionRefusal = "access_denied" | "temporarily_unavailable";
type PermissionRefused = {
  readonly refused: PermissionRefusal;
  readonly why: string;
  readonly stage: "permission";
};

export const permissionRefusal = {
  refused: "access_denied",
  why: "the permission check does not allow this agent to request this action from these approvers",
  stage: "permission",
} as const satisfies PermissionRefused;

/** Returns the approvers for whom the action is permitted. */
export async function checkPermission(
  permission: PermissionCheck,
  query: Omit<PermissionQuery, "approvers">,
  approvers: readonly Approver[],
): Promise<readonly Approver[] | PermissionRefused> {
  const result = await permission.check({ ...query, approvers });
  if (result === "unavailable")
    return {
      refused: "temporarily_unavailable",
      why: "the permission check is unavailable; no approver was notified; try again",
      stage: "permission",
    };
  const allowed = approvers.filter(({ id }) => result.allowed.includes(id));
  return allowed.length > 0 ? allowed : permissionRefusal;
}
