/**
 * Log channel, for development: prints each notification as a line of JSON on standard output instead of sending it. The card
 * of a request may contain personal data, so do not use it in production.
 */
import { shortDigest } from "@countersign/protocol";
import { formatCardSummary } from "../../domain/action/card.ts";
import { buildRequestUrl, type ChannelDeps, type OpenChannel } from "../channel.ts";
import type { LogChannelSettings } from "./section.ts";

export function openLogChannel(_settings: LogChannelSettings, { issuer, print }: ChannelDeps): OpenChannel {
  const printLine = (line: { readonly [member: string]: string }) =>
    print(JSON.stringify({ channel: "log", ...line }));
  return {
    contacts: "email",
    async send({ kind, request }, { address }) {
      printLine({
        kind,
        to: address,
        summary: formatCardSummary(request.card),
        check_code: shortDigest(request.digest),
        link: buildRequestUrl(issuer, request.id, "log"),
      });
      return { to: address };
    },
    async update({ to }, { kind, request, outcome }) {
      printLine({
        kind,
        to: String(to),
        summary: formatCardSummary(request.card),
        check_code: shortDigest(request.digest),
        outcome,
      });
    },
    check: async () => [
      {
        about: "log channel",
        state: "warn",
        summary: "notifications are printed, not sent",
        remedy: "Use it for development only: remove channels.log.",
      },
    ],
    close: () => {},
  };
}
