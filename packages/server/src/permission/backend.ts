/** What asks outside this server, and the limit of time that it has for it. */
import type { PermissionCheck, PermissionQuery } from "../usecase/request/check-permission.ts";

/** Answers the ids of those approvers for whom everything is allowed; throws where there is no answer. */
export type PermissionBackend = (query: PermissionQuery, signal: AbortSignal) => Promise<readonly string[]>;

/** Whatever keeps the checker from answering is a fault that the operator hears of, and no answer to the agent. */
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
          const fault = new Error(`the permission check did not answer within ${timeoutMs / 1000} s`);
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
