/** How pages show what came from outside, and how they say the things that several of them say. */
import type { Reversibility } from "@countersign/protocol";
import { html } from "hono/html";
import { type CardPart, type CardRow, formatPartCount } from "../domain/action/card.ts";
import { formatTimeLeft } from "./asset/countdown.js";
import { externalIcon, irreversibleIcon, reversibleIcon } from "./icon.ts";
import type { Html } from "./layout.ts";

/**
 * The server's sentence. A value stands in its own box (`.value`): its white space is kept, it breaks anywhere, its
 * writing direction stays inside, so that no value can pass for the server's words or move them. A short one stays in
 * one piece where the line is long enough.
 */
export function renderSentence(tokens: CardPart["sentence"]): Html {
  const shown = tokens.map((token) =>
    "value" in token
      ? html`<strong class="${[...token.value].length <= 24 ? "value short" : "value"}"><bdi>${token.value}</bdi></strong>`
      : token.text,
  );
  return html`${shown}`;
}

/** What an action is, in a list: its sentence, or that there are several to be answered as one, and each of them. */
export function renderActionSummary(parts: readonly CardPart[]): Html {
  const [first, ...others] = parts;
  if (first && others.length === 0)
    return html`<span class="sentence">${renderSentence(first.sentence)}</span>`;
  return html`<span class="together">${formatPartCount(parts)}</span>
${parts.map((part, at) => html`<span class="sentence">${renderOrdinal(at, parts)}${renderSentence(part.sentence)}</span>\n`)}`;
}

/** Which of several parts this is. */
export function renderOrdinal(at: number, parts: readonly unknown[]): Html {
  return html`<small class="nth">${at + 1} of ${parts.length}</small> `;
}

/** Rows of labels and values. Nothing where there are none. */
export function renderRows(list: readonly CardRow[]): Html {
  if (list.length === 0) return html``;
  const shown = list.map(
    (row) => html`<div><dt>${row.label}</dt><dd><bdi class="exact">${row.value}</bdi></dd></div>\n`,
  );
  return html`<dl class="rows">\n${shown}</dl>`;
}

export const reversibilityWords = {
  reversible: "Can be undone",
  external: "Leaves the company; hard to undo",
  irreversible: "Cannot be undone",
} satisfies Record<Reversibility, string>;

const reversibilityIcons = {
  reversible: reversibleIcon,
  external: externalIcon,
  irreversible: irreversibleIcon,
} satisfies Record<Reversibility, Html>;

export function renderReversibility(reversibility: Reversibility): Html {
  return html`${reversibilityIcons[reversibility]}<span>${reversibilityWords[reversibility]}</span>`;
}

/** An instant, in UTC; the browser's script turns it into the reader's own time. */
export function renderInstant(at: number): Html {
  return html`<time datetime="${new Date(at).toISOString()}">${formatDate("date", at)} UTC</time>`;
}

/** The time of day of an instant that is less than a day away, to the second; otherwise as `instant`. */
export function renderTimeOfDay(at: number, now: number): Html {
  if (at - now > 20 * 3_600_000) return renderInstant(at);
  return html`<time datetime="${new Date(at).toISOString()}" data-precise>${formatDate("clock", at)} UTC</time>`;
}

/** What is left until `at`, as `1:42`; the browser's script counts it down. */
export function renderCountdown(at: number, now: number): Html {
  const leftMs = Math.max(0, at - now);
  return html`<span class="left" role="timer" data-left="${leftMs}">${formatTimeLeft(leftMs)}</span>`;
}

const dateStyles = {
  date: { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" },
  clock: { timeStyle: "medium", timeZone: "UTC" },
} satisfies Record<string, Intl.DateTimeFormatOptions>;
const formatters: { [style in keyof typeof dateStyles]?: Intl.DateTimeFormat } = {};

/** A format is made when a page first needs it: the first one that a process makes takes longer than all others. */
function formatDate(style: keyof typeof dateStyles, at: number): string {
  formatters[style] ??= new Intl.DateTimeFormat("en-GB", dateStyles[style]);
  return formatters[style].format(at);
}
