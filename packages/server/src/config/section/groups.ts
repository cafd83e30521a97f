import { z } from "zod";
import { email, name } from "../field.ts";
import { freezeMap } from "../freeze.ts";
import { definePolicy } from "../section.ts";

export type GroupPolicy = {
  /** E-mail addresses by group. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
};

export const groupsSection = definePolicy({
  shape: {
    groups: z
      .record(name, z.array(email).min(1, "the group is empty\nadd a person, or remove the group"))
      .default({}),
  },
  read({ groups }): GroupPolicy {
    return { groups: freezeMap(Object.entries(groups)) };
  },
  sample: ({ approver }) => `# Groups of approvers, by e-mail address. Rules below name people or groups.
groups:
  finance: [${JSON.stringify(approver)}]
`,
});
