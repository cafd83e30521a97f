import { z } from "zod";
import { definePolicy } from "../section.ts";

export type UserCodePolicy = {
  /** Whether agents that are registered for it must send the approver's user code (CIBA §7.1). */
  readonly userCodes: boolean;
};

export const userCodesSection = definePolicy({
  shape: { user_codes: z.boolean().default(false) },
  read({ user_codes }): UserCodePolicy {
    return { userCodes: user_codes };
  },
  sample:
    () => `# Optional: whether agents that are registered for user codes must send the approver's code. countersign approver code
# sets one.
# user_codes: true
`,
});
