import { z } from "zod";
import { defineObject, emailPattern, file } from "../field.ts";
import { defineSection } from "../section.ts";

export type ChannelSettings = {
  readonly channels: {
    readonly mail?: { readonly smtp: string; readonly from: string; readonly passwordFile?: string };
  };
};

export const channelsSection = defineSection({
  shape: {
    channels: defineObject({
      mail: defineObject({
        smtp: z.string(),
        from: z
          .string()
          .refine((from) => emailPattern.test(/^[^<>\p{C}"]+ <([^<>]+)>$/u.exec(from)?.[1] ?? from), {
            error: 'this is not a sender\nwrite name@example.com, or "Countersign <name@example.com>"',
          }),
        password_file: file.optional(),
      }).optional(),
    }).prefault({}),
  },
  read({ channels: { mail } }, { addProblem, resolvePath }): ChannelSettings {
    if (!mail) return { channels: {} };
    const { smtp, from, password_file } = mail;
    const path = ["channels", "mail", "smtp"];
    const url = URL.canParse(smtp) ? new URL(smtp) : undefined;
    if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "")
      addProblem({
        path,
        message: "invalid mail server URL",
        remedy: "write smtp://host:port, or smtps:// for TLS from the start",
      });
    else if (url.password !== "")
      addProblem({
        path,
        message: "the URL contains a password, which must not be in this file",
        remedy: "write it to a separate file, set password_file, and change the password",
      });
    const passwordFile = password_file === undefined ? undefined : resolvePath(password_file);
    return { channels: { mail: { smtp, from, ...(passwordFile !== undefined && { passwordFile }) } } };
  },
  sample: () => `# How approvers are notified. A password belongs in a separate file: password_file.
# channels:
#   mail: { smtp: "smtp://127.0.0.1:2525", from: "Countersign <countersign@example.com>" }
`,
});
