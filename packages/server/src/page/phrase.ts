/** Renders untrusted values, and phrases that several pages share. */
import type { Reversibility } from "@countersign/protocol";
import { html } from "hono/html";
import { type CardPart, type CardRow, formatPartCount } from "../domain/action/card.ts";
import { formatTimeLeft } from "./asset/countdown.js";
import { externalIcon, irreversibleIcon, reversibleIcon } from "./icon.ts";
import type { Html } from "./layout.ts";

/**
 * Renders the sentence of an action. Each value is in its own box (`.value`) with its own writing direction, so that a
 * value cannot pass for the server's text or reorder it. White space is kept; values of up to 24 characters do not wrap if
 * the line is long enough.
 */
export function renderSentence(tokens: CardPart["sentence"]): Html {
  const shown = tokens.map((token) =>
    "value" in token
      ? html`<strong class="${[...token.value].length <= 24 ? "value short" : "value"}"><bdi>${token.value}</bdi></strong>`
      : token.text,
  );
  return html`${shown}`;
}

/** Renders an action in a list: its sentence, or the number of parts and the sentence of each. */
export function renderActionSummary(parts: readonly CardPart[]): Html {
  const [first, ...others] = parts;
  if (first && others.length === 0)
    return html`<span class="sentence">${renderSentence(first.sentence)}</span>`;
  return html`<span class="together">${formatPartCount(parts)}</span>
${parts.map((part, at) => html`<span class="sentence">${renderOrdinal(at, parts)}${renderSentence(part.sentence)}</span>\n`)}`;
}

/** Renders "1 of 3". */
export function renderOrdinal(at: number, parts: readonly unknown[]): Html {
  return html`<small class="nth">${at + 1} of ${parts.length}</small> `;
}

/** Renders rows of labels and values; nothing if `list` is empty. */
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

/** Renders a time in UTC. `countdown.js` converts it to the browser's time zone. */
export function renderInstant(at: number): Html {
  return html`<time datetime="${new Date(at).toISOString()}">${formatDate("date", at)} UTC</time>`;
}

/** Renders the time of day, with seconds, if `at` is less than 20 hours after `now`; date and time otherwise. */
export function renderTimeOfDay(at: number, now: number): Html {
  if (at - now > 20 * 3_600_000) return renderInstant(at);
  return html`<time datetime="${new Date(at).toISOString()}" data-precise>${formatDate("clock", at)} UTC</time>`;
}

/** Renders the time left until `at`, as `1:42`. `countdown.js` updates it. */
export function renderCountdown(at: number, now: number): Html {
  const leftMs = Math.max(0, at - now);
  return html`<span class="left" role="timer" data-left="${leftMs}">${formatTimeLeft(leftMs)}</span>`;
}

const dateStyles = {
  date: { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" },
  clock: { timeStyle: "medium", timeZone: "UTC" },
} satisfies Record<string, Intl.DateTimeFormatOptions>;
const formatters: { [style in keyof typeof dateStyles]?: Intl.DateTimeFormat } = {};

/** Creates each formatter on first use: the first `Intl.DateTimeFormat` of a process is slow to create. */
function formatDate(style: keyof typeof dateStyles, at: number): string {
  formatters[style] ??= new Intl.DateTimeFormat("en-GB", dateStyles[style]);
  return formatters[style].format(at);
}
