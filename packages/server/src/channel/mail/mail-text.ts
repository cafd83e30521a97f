/** Renders the subject, plain text and HTML of a mail. Pure; the template escapes every value. */
import { html } from "hono/html";
import {
  type Card,
  type CardPart,
  type CardRow,
  formatCardSummary,
  formatPartCount,
  getCardParts,
  toPlainText,
} from "../../domain/action/card.ts";
import { formatDuration } from "../../domain/action/format.ts";

export type Mail = {
  readonly card: Card;
  readonly checkCode: string;
  readonly link: string;
  /** Milliseconds since the epoch, as is `now`: the deadline for the decision. */
  readonly decideBy: number;
  readonly now: number;
  readonly approverName: string;
};

const reversibility: Record<Card["reversibility"], string> = {
  reversible: "This can be undone.",
  external: "This leaves the company and is hard to undo.",
  irreversible: "This cannot be undone.",
};

/** Returns the card's summary, cut to 120 characters, and the check code that identifies the request. */
export function renderMailSubject({ card, checkCode }: Mail): string {
  const sentence = formatCardSummary(card);
  const short = [...sentence].length > 120 ? `${[...sentence].slice(0, 119).join("")}…` : sentence;
  return `Approve or deny: ${short} [${checkCode}]`;
}

export function renderMailText(mail: Mail): string {
  const { card, checkCode, link } = mail;
  const parts = getCardParts(card);
  const { message } = card.words;
  const quoteAgent = (words: readonly string[]) =>
    words.length > 0 ? [`${card.agent.name} says, in its own words (not checked):`, ...words, ""] : [];
  const messageLines = message === undefined ? [] : [`> ${message}`];
  const isSingle = parts.length === 1;
  return [
    isSingle
      ? `${card.agent.name} asks for your decision:`
      : `${card.agent.name} asks for your decision: ${formatPartCount(parts)}.`,
    "",
    ...parts.flatMap(({ sentence, rows, words }, at) => [
      `    ${isSingle ? "" : `${at + 1} of ${parts.length}: `}${toPlainText(sentence)}`,
      "",
      ...rows.map(({ label, value }) => `${label}: ${value}`),
      "",
      ...quoteAgent([...(isSingle ? messageLines : []), ...words.rows.map(quoteRow)]),
    ]),
    ...quoteAgent(isSingle ? [] : messageLines),
    reversibility[card.reversibility],
    `Decide within ${formatTimeLeft(mail)} or it expires.`,
    "",
    "Open the request to decide (opening it decides nothing):",
    link,
    "",
    `Check code ${checkCode}: the page shows the same one.`,
    "Replying to this mail does nothing.",
    "",
  ].join("\n");
}

function quoteRow({ label, value }: CardRow): string {
  return `> ${label}: ${value.replaceAll("\n", "\n> ")}`;
}

export function renderMailHtml(mail: Mail): string {
  const { card, checkCode, link } = mail;
  const parts = getCardParts(card);
  const { message } = card.words;
  const isSingle = parts.length === 1;
  return String(html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>${renderMailSubject(mail)}</title></head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:520px;margin:0 auto">
<p style="margin:0 0 8px">${card.agent.name} asks for your decision:${isSingle ? "" : ` ${formatPartCount(parts)}.`}</p>
${parts.map((part, at) => renderPart(card, part, isSingle ? "" : `${at + 1} of ${parts.length}: `, isSingle ? message : undefined))}
${isSingle ? "" : renderWords(card, message, [])}
<p style="margin:0 0 20px">${reversibility[card.reversibility]} Decide within ${formatTimeLeft(mail)} or it expires.</p>
<p style="margin:0 0 20px"><a href="${link}" style="display:inline-block;padding:12px 20px;border:1px solid;border-radius:8px;text-decoration:none">Open the request</a></p>
<p style="margin:0;font-size:14px">Opening it decides nothing. Check code <strong>${checkCode}</strong>: the page shows the same one. Replying to this mail does nothing.</p>
</div>
</body>
</html>
`);
}

function renderPart(
  card: Card,
  { sentence, rows, words }: CardPart,
  prefix: string,
  message: string | undefined,
) {
  const sentenceHtml = sentence.map((piece) =>
    "value" in piece
      ? html`<strong style="white-space:pre-wrap"><bdi>${piece.value}</bdi></strong>`
      : piece.text,
  );
  return html`<p style="margin:0 0 20px;font-size:22px;line-height:1.3">${prefix}${sentenceHtml}</p>
<table style="border-collapse:collapse;margin:0 0 20px">${rows.map(
    ({ label, value }) =>
      html`<tr><th style="text-align:left;font-weight:normal;padding:2px 16px 2px 0;vertical-align:top">${label}</th><td style="white-space:pre-wrap"><bdi>${value}</bdi></td></tr>`,
  )}</table>
${renderWords(card, message, words.rows)}`;
}

function renderWords({ agent }: Card, message: string | undefined, rows: readonly CardRow[]) {
  if (message === undefined && rows.length === 0) return "";
  return html`<p style="margin:0 0 4px">${agent.name} says, in its own words (not checked):</p>
<blockquote style="margin:0 0 20px;padding:0 0 0 12px;border-left:3px solid #8886">${
    message === undefined
      ? ""
      : html`<p style="margin:0 0 4px;white-space:pre-wrap"><bdi>${message}</bdi></p>`
  }${rows.map(({ label, value }) => html`<p style="margin:0 0 4px;white-space:pre-wrap">${label}: <bdi>${value}</bdi></p>`)}</blockquote>`;
}

/** Returns the time left and the absolute deadline: a mail may be read long after it was sent. */
function formatTimeLeft({ decideBy, now }: Mail): string {
  const seconds = Math.max(0, Math.floor((decideBy - now) / 1000));
  const left = formatDuration(seconds >= 120 ? seconds - (seconds % 60) : seconds);
  return `${left} (by ${new Date(decideBy).toISOString().slice(11, 19)} UTC)`;
}
