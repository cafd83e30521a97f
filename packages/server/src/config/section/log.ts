import { defineObject, defineText, file } from "../field.ts";
import { defineSection } from "../section.ts";
import { issuerSection } from "./issuer.ts";
import { toSampleUrl } from "./passkeys.ts";

export type LogSettings = {
  /** The origin line of checkpoints, and the file to which each signed checkpoint is appended. */
  readonly log: { readonly origin: string; readonly checkpointFile?: string };
};

export const logSection = defineSection({
  shape: {
    log: defineObject({
      origin: defineText(
        /^[A-Za-z0-9][A-Za-z0-9.:/_-]{0,127}$/,
        "the origin of a log",
        "write a name without spaces or a scheme, such as countersign.example/log (C2SP tlog-checkpoint)",
      ).optional(),
      checkpoint_file: file.optional(),
    }).prefault({}),
  },
  read({ log: { origin, checkpoint_file } }, { use, resolvePath }): LogSettings {
    const issuer = use(issuerSection)?.settings.issuer ?? "";
    const checkpointFile = checkpoint_file === undefined ? undefined : resolvePath(checkpoint_file);
    return {
      log: {
        // Default: the issuer's host name followed by /countersign.
        origin: origin ?? `${toSampleUrl(issuer).hostname}/countersign`,
        ...(checkpointFile !== undefined && { checkpointFile }),
      },
    };
  },
  sample: ({
    issuer,
  }) => `# Each signed checkpoint of the audit log is appended to this file. Copy it to another machine as it grows: entries that a
# copied checkpoint covers cannot be changed unnoticed. The origin is part of every checkpoint and must not change.
log: { origin: ${JSON.stringify(`${toSampleUrl(issuer).hostname}/countersign`)}, checkpoint_file: ./countersign-data/checkpoints.txt }
`,
});
