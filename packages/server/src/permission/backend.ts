/** Interface of a permission backend, and its timeout. */
import type { PermissionCheck, PermissionQuery } from "../usecase/request/check-permission.ts";

/** Returns the ids of the approvers for whom every part is allowed. Rejects if the backend gives no valid response. */
export type PermissionBackend = (query: PermissionQuery, signal: AbortSignal) => Promise<readonly string[]>;

/** Adds a timeout. Errors and timeouts of the backend are reported; the agent receives `temporarily_unavailable`. */
export function withTimeout(
  backend: PermissionBackend,
  timeoutMs: number,
  report: (fault: unknown) => void,
): PermissionCheck {
  return {
    check: async (query) => {
      const controller = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const fault = new Error(`the permission check did not respond within ${timeoutMs / 1000} s`);
          controller.abort(fault);
          reject(fault);
        }, timeoutMs);
      });
      try {
        return { allowed: await Promise.race([backend(query, controller.signal), timeout]) };
      } catch (fault) {
        report(fault);
        return "unavailable";
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
