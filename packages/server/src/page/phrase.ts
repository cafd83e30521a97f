/** How pages show what came from outside, and how they say the things that several of them say. */
import type { Reversibility } from "@countersign/protocol";
import { html } from "hono/html";
import { type CardPart, type CardRow, togetherText } from "../domain/action/card.ts";
import { timeLeft } from "./asset/countdown.js";
import { externalIcon, irreversibleIcon, reversibleIcon } from "./icon.ts";
import type { Html } from "./layout.ts";

/**
 * The server's sentence. A value stands in its own box (`.value`): its white space is kept, it breaks anywhere, its
 * writing direction stays inside, so that no value can pass for the server's words or move them. A short one stays in
 * one piece where the line is long enough.
 */
export function sentence(pieces: CardPart["sentence"]): Html {
  const shown = pieces.map((piece) =>
    "value" in piece
      ? html`<strong class="${[...piece.value].length <= 24 ? "value short" : "value"}"><bdi>${piece.value}</bdi></strong>`
      : piece.text,
  );
  return html`${shown}`;
}

/** What an action is, in a list: its sentence, or that there are several to be answered as one, and each of them. */
export function summary(parts: readonly CardPart[]): Html {
  const [first, ...others] = parts;
  if (first && others.length === 0) return html`<span class="sentence">${sentence(first.sentence)}</span>`;
  return html`<span class="together">${togetherText(parts)}</span>
${parts.map((part, at) => html`<span class="sentence">${ordinal(at, parts)}${sentence(part.sentence)}</span>\n`)}`;
}

/** Which of several parts this is. */
export function ordinal(at: number, parts: readonly unknown[]): Html {
  return html`<small class="nth">${at + 1} of ${parts.length}</small> `;
}

/** Rows of labels and values. Nothing where there are none. */
export function rows(list: readonly CardRow[]): Html {
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

export function reversibilityLine(reversibility: Reversibility): Html {
  return html`${reversibilityIcons[reversibility]}<span>${reversibilityWords[reversibility]}</span>`;
}

/** An instant, in UTC; the browser's script turns it into the reader's own time. */
export function instant(at: number): Html {
  return html`<time datetime="${new Date(at).toISOString()}">${formatWords("date", at)} UTC</time>`;
}

/** The time of day of an instant that is less than a day away, to the second; otherwise as `instant`. */
export function isExpiringSoon(at: number, now: number): Html {
  if (at - now > 20 * 3_600_000) return instant(at);
  return html`<time datetime="${new Date(at).toISOString()}" data-precise>${formatWords("clock", at)} UTC</time>`;
}

/** What is left until `at`, as `1:42`; the browser's script counts it down. */
export function countdown(at: number, now: number): Html {
  const left = Math.max(0, at - now);
  return html`<span class="left" role="timer" data-left="${left}">${timeLeft(left)}</span>`;
}

const ways = {
  date: { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" },
  clock: { timeStyle: "medium", timeZone: "UTC" },
} satisfies Record<string, Intl.DateTimeFormatOptions>;
const formats: { [way in keyof typeof ways]?: Intl.DateTimeFormat } = {};

/** A format is made when a page first needs it: the first one that a process makes takes longer than all others. */
function formatWords(way: keyof typeof ways, at: number): string {
  formats[way] ??= new Intl.DateTimeFormat("en-GB", ways[way]);
  return formats[way].format(at);
}
