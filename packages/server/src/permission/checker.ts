/** What asks outside this server, and the limit of time that it has for it. */
import type { Permission, Question } from "../operations/permission.ts";

/** Answers the ids of those approvers for whom everything is allowed; throws where there is no answer. */
export type Checker = (question: Question, signal: AbortSignal) => Promise<readonly string[]>;

/** Whatever keeps the checker from answering is a fault that the operator hears of, and no answer to the agent. */
export function within(checker: Checker, timeLimitMs: number, report: (fault: unknown) => void): Permission {
  return {
    check: async (question) => {
      const limit = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const fault = new Error(`the permission check did not answer within ${timeLimitMs / 1000} s`);
          limit.abort(fault);
          reject(fault);
        }, timeLimitMs);
      });
      try {
        return { allowed: await Promise.race([checker(question, limit.signal), late]) };
      } catch (fault) {
        report(fault);
        return "unavailable";
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
