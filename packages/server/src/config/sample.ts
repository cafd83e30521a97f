/** The configuration that `countersign init` writes: an example action, and comments on every section. */
import type { SampleOptions } from "./section.ts";
import { sections } from "./sections.ts";

/** Returns the text of a first `countersign.yaml`. */
export function writeSampleConfig(options: SampleOptions): string {
  const parts = sections.flatMap(({ sample }) => (sample ? [sample(options)] : []));
  return [header, ...parts].join("\n");
}

const header = `# Countersign: who may approve what. This file holds rules and no secrets. Approvers, their passkeys and the credentials of
# APIs are in the store and added by command: countersign approver invite, countersign api add. Agents are added by command
# (countersign agent add) or declared at the end of this file. After a change, run countersign check.
`;
