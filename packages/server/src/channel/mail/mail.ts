/**
 * E-mail channel: notifies an approver of a request, with a link to its page. Subject and body are rendered from the same
 * sanitised card as the page. Opening the link or replying decides nothing. The recipient is the approver's stored address,
 * never a value that an agent sent.
 */
import { readFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { createTransport, type Transporter } from "nodemailer";
import type { Channel } from "../../job/deliver-message.ts";
import { type Mail, renderMailHtml, renderMailSubject, renderMailText } from "./mail-text.ts";

export type MailSettings = {
  /** `smtp:` or `smtps:` URL, with the user name if the server requires authentication. */
  readonly smtp: string;
  readonly from: string;
  /** File that contains only the account's password. */
  readonly passwordFile?: string;
};

const timeoutMs = 15_000;

export function createMailChannel(
  settings: MailSettings,
  issuer: string,
  now: () => number,
): Channel & { readonly verifyConnection: () => Promise<unknown>; close(): void } {
  const { username } = new URL(settings.smtp);
  const pass =
    settings.passwordFile === undefined ? undefined : readFileSync(settings.passwordFile, "utf8").trim();
  const transport: Transporter = createTransport({
    url: settings.smtp,
    ...(pass !== undefined && { auth: { user: decodeURIComponent(username), pass } }),
    pool: true,
    maxConnections: 2,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  });
  const host = new URL(issuer).hostname;
  return {
    name: "mail",
    async send({ request, approver, messageId }) {
      const mail: Mail = {
        card: request.card,
        checkCode: shortDigest(request.digest),
        link: `${issuer}/requests/${request.id}?via=mail`,
        decideBy: request.decideBy,
        now: now(),
        approverName: approver.name,
      };
      await transport.sendMail({
        from: settings.from,
        to: { name: approver.name, address: approver.email },
        subject: renderMailSubject(mail),
        text: renderMailText(mail),
        html: renderMailHtml(mail),
        // The same id when sent again after a crash, so that mail programs show the message once.
        messageId: `<${messageId}@${host}>`,
        headers: { "auto-submitted": "auto-generated", "x-auto-response-suppress": "All" },
        disableFileAccess: true,
        disableUrlAccess: true,
      });
    },
    /** Connects and authenticates without sending a message. */
    verifyConnection: () => transport.verify(),
    close: () => transport.close(),
  };
}
