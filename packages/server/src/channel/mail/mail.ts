/**
 * E-mail channel: notifies an approver of a request, with a link to its page. Subject and body are rendered from the same
 * sanitised card as the page. Opening the link or replying decides nothing. The recipient is the approver's stored address,
 * never a value that an agent sent.
 */
import { readFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { createTransport, type Transporter } from "nodemailer";
import { buildRequestUrl, type ChannelDeps, DeliveryError, type OpenChannel } from "../channel.ts";
import { type Mail, renderMailHtml, renderMailSubject, renderMailText } from "./mail-text.ts";
import type { MailSettings } from "./section.ts";

const timeoutMs = 15_000;

export function openMailChannel(settings: MailSettings, { issuer, now }: ChannelDeps): OpenChannel {
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
    contacts: "email",
    async send({ request, messageId }, { approver, address }) {
      const mail: Mail = {
        card: request.card,
        checkCode: shortDigest(request.digest),
        link: buildRequestUrl(issuer, request.id, "mail"),
        decideBy: request.decideBy,
        now: now(),
        approverName: approver.name,
      };
      const message = {
        from: settings.from,
        to: { name: approver.name, address },
        subject: renderMailSubject(mail),
        text: renderMailText(mail),
        html: renderMailHtml(mail),
        // The same id when sent again after a crash, so that mail programs show the message once.
        messageId: `<${messageId}@${host}>`,
        headers: { "auto-submitted": "auto-generated", "x-auto-response-suppress": "All" },
        disableFileAccess: true,
        disableUrlAccess: true,
      };
      await transport.sendMail(message).catch((error: unknown) => {
        throw isUnknownMailbox(error)
          ? new DeliveryError("address_gone", error.message, { cause: error })
          : error;
      });
      // A mail that was sent cannot be edited.
      return undefined;
    },
    /** Connects and authenticates without sending a message. */
    check: () =>
      transport.verify().then(
        () => [{ about: "mail", state: "ok", summary: "connected to the mail server and authenticated" }],
        (error: unknown) => [
          {
            about: "mail",
            state: "fail",
            summary: error instanceof Error ? error.message : String(error),
            remedy: "Approvers are not notified by mail until this is fixed.",
          },
        ],
      ),
    close: () => transport.close(),
  };
}

/** Returns true if the server rejected the recipient for good (RFC 5321 §4.2.1: 5yz). Every other error is worth a retry. */
function isUnknownMailbox(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { command, responseCode } = error as { command?: unknown; responseCode?: unknown };
  return command === "RCPT TO" && Number(responseCode) >= 500;
}
