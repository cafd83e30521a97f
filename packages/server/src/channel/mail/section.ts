import { z } from "zod";
import { defineChannelSection } from "../../config/channel-section.ts";
import { defineObject, emailPattern, file } from "../../config/field.ts";

export type MailSettings = {
  /** `smtp:` or `smtps:` URL, with the user name if the server requires authentication. */
  readonly smtp: string;
  readonly from: string;
  /** File that contains only the account's password. */
  readonly passwordFile?: string;
};

export const mailChannelSection = defineChannelSection({
  schema: defineObject({
    smtp: z.string(),
    from: z
      .string()
      .refine((from) => emailPattern.test(/^[^<>\p{C}"]+ <([^<>]+)>$/u.exec(from)?.[1] ?? from), {
        error: 'this is not a sender\nwrite name@example.com, or "Countersign <name@example.com>"',
      }),
    password_file: file.optional(),
  }),
  read({ smtp, from, password_file }, { addProblem, resolvePath }): MailSettings {
    const url = URL.canParse(smtp) ? new URL(smtp) : undefined;
    if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "")
      addProblem({
        path: ["smtp"],
        message: "invalid mail server URL",
        remedy: "write smtp://host:port, or smtps:// for TLS from the start",
      });
    else if (url.password !== "")
      addProblem({
        path: ["smtp"],
        message: "the URL contains a password, which must not be in this file",
        remedy: "write it to a separate file, set password_file, and change the password",
      });
    const passwordFile = password_file === undefined ? undefined : resolvePath(password_file);
    return { smtp, from, ...(passwordFile !== undefined && { passwordFile }) };
  },
  sample: 'mail: { smtp: "smtp://127.0.0.1:2525", from: "Countersign <countersign@example.com>" }',
});
