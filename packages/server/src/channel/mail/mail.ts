/**
 * E-mail: tells an approver that something waits, in the words of the card, with a link that only shows it. Subject
 * and body are made from the same sanitised card as the page. Nothing in a mail decides anything, and a reply goes
 * nowhere. The address is the approver's own, never anything that an agent said.
 */
import { readFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { createTransport, type Transporter } from "nodemailer";
import type { Channel } from "../../job/deliver-message.ts";
import { type Mail, renderMailHtml, renderMailSubject, renderMailText } from "./mail-text.ts";

export type MailSettings = {
  /** `smtp:` or `smtps:`, with the account's name in it where there is one. */
  readonly smtp: string;
  readonly from: string;
  /** Holds the account's password, and nothing else. */
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
        // Sent again after a crash, it is the same message: mail programs show it once.
        messageId: `<${messageId}@${host}>`,
        headers: { "auto-submitted": "auto-generated", "x-auto-response-suppress": "All" },
        disableFileAccess: true,
        disableUrlAccess: true,
      });
    },
    /** Connects and signs in, and sends nothing. */
    verifyConnection: () => transport.verify(),
    close: () => transport.close(),
  };
}
