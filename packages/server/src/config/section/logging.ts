import { z } from "zod";
import { defineObject, flag } from "../field.ts";
import { defineSection } from "../section.ts";

/** Minimum level of log lines. */
const loggingLevels = ["info", "warn", "error"] as const;

export type LoggingSettings = {
  /** The log on standard error: minimum level, and whether requests are logged (access log). */
  readonly logging: { readonly level: (typeof loggingLevels)[number]; readonly accessLog: boolean };
};

export const loggingSection = defineSection({
  shape: {
    logging: defineObject({
      // info: one line per change, and none for a poll that changes nothing.
      level: z.enum(loggingLevels).default("info"),
      // Default false: a proxy usually logs requests already, and most are polls.
      access_log: flag.default(false),
    }).prefault({}),
  },
  read({ logging }): LoggingSettings {
    return { logging: { level: logging.level, accessLog: logging.access_log } };
  },
  sample:
    () => `# Optional, with the defaults: the minimum level on standard error (info, warn or error), and an access log.
# logging: { level: info, access_log: false }
`,
});
