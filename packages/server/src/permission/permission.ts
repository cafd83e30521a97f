/**
 * Whom the operator asks, outside this server, whether an agent may ask somebody for something: a policy decision point
 * that speaks AuthZEN (`authzen.ts`), or OpenFGA (`openfga.ts`). It is the operator's own, often in a private network, and
 * named by the operator alone, so that nothing an agent sends leads there. What it does not answer in time, or not as
 * agreed, is no answer; it never makes up one, and never says more than yes or no.
 */
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";
import type { PermissionCheck } from "../usecase/request/check-permission.ts";
import { withTimeout } from "./backend.ts";

/** Loaded only where it is configured. */
export async function openPermission(
  config: Pick<Config, "permission" | "apis">,
  onFault: (fault: unknown, where: string) => void,
): Promise<PermissionCheck | undefined> {
  const { backend: outside, timeLimitMs: timeoutMs } = config.permission;
  if (!outside) return undefined;
  const token = outside.tokenFile === undefined ? undefined : readFileSync(outside.tokenFile, "utf8").trim();
  const backend =
    outside.kind === "authzen"
      ? (await import("./authzen.ts")).createAuthzen(outside, token)
      : (await import("./openfga.ts")).createOpenFga(outside, token, timeoutMs, config.apis);
  return withTimeout(backend, timeoutMs, (fault) => onFault(fault, "permission"));
}
