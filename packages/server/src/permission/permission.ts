/**
 * External permission check: may this agent ask these approvers for this action? The backend is an AuthZEN policy decision
 * point (`authzen.ts`) or OpenFGA (`openfga.ts`). Its URL comes only from the configuration and may be in a private network,
 * so it is not subject to the SSRF policy. A timeout, an error or a malformed response is `unavailable`, never a permission.
 */
import { readFileSync } from "node:fs";
import type { Policy } from "../config/sections.ts";
import type { PermissionCheck } from "../usecase/request/check-permission.ts";
import { withTimeout } from "./backend.ts";

/** Loads the configured backend. Returns undefined if none is configured. */
export async function openPermission(
  policy: Pick<Policy, "permission" | "apis">,
  onFault: (fault: unknown, where: string) => void,
): Promise<PermissionCheck | undefined> {
  const { backend: outside, timeLimitMs: timeoutMs } = policy.permission;
  if (!outside) return undefined;
  const token = outside.tokenFile === undefined ? undefined : readFileSync(outside.tokenFile, "utf8").trim();
  const backend =
    outside.kind === "authzen"
      ? (await import("./authzen.ts")).createAuthzen(outside, token)
      : (await import("./openfga.ts")).createOpenFga(outside, token, timeoutMs, policy.apis);
  return withTimeout(backend, timeoutMs, (fault) => onFault(fault, "permission"));
}
