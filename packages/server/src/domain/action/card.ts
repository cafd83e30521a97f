/**
 * The card: what a person sees, the same in every channel. The server writes the sentence and the labels; values stand
 * where they can be told apart from them; the agent's words (binding message, advisory fields) are kept in `words`,
 * always to be quoted as the agent's. The card holds text, never markup: a channel escapes it for its own medium.
 */
import {
  type AuthenticationLevel,
  hashJson,
  inspectText,
  type Json,
  partsDigest,
  type Reversibility,
  reversibilities,
} from "@countersign/protocol";
import { maxLevel } from "../policy/level.ts";
import type { Row } from "./action-type.ts";
import { parseSentence, textFaults } from "./declaration.ts";
import { type FormatRefusal, formatValue } from "./format.ts";
import type { DetailsRefusal, ParsedPart } from "./parse-details.ts";
import { quote } from "./quotation.ts";

/** A piece of the sentence. A value that is free text is in “ ” already. */
export type SentenceToken = { readonly text: string } | { readonly value: string; readonly field: string };
export type CardRow = { readonly label: string; readonly value: string; readonly field: string };
/** One thing that would be done, as it is shown. */
export type CardPart = {
  readonly type: string;
  readonly sentence: readonly SentenceToken[];
  /** Every bound field that is there, in the operator's order. */
  readonly rows: readonly CardRow[];
  /** What the agent says about it. Values may have several lines. */
  readonly words: { readonly rows: readonly CardRow[] };
};
/** The card of an action of one part: the part itself, with what is around it. */
export type SingleCard = CardHeader & CardPart & { readonly v: 1 };
/** The card of an action of several parts: a yes is to all of them. */
export type MultiPartCard = CardHeader & { readonly v: 2; readonly parts: readonly CardPart[] };
export type Card = SingleCard | MultiPartCard;

type CardHeader = {
  readonly agent: { readonly id: string; readonly name: string };
  /** The agent's own words about all of it. */
  readonly words: { readonly message?: string };
  /** Of the part that is hardest to take back. */
  readonly reversibility: Reversibility;
  readonly level: AuthenticationLevel;
  readonly audience: string;
  /** The action digest, all 43 characters. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** 128 random bits: without the card its hash, which stays in the log, gives nothing of it away. */
  readonly salt: string;
};

/** Writes the card of an action that `readAction` accepted, or refuses a value that cannot be shown as declared. */
export function renderCard(input: {
  /** Never empty, and all for one API. */
  readonly parts: readonly ParsedPart[];
  readonly agent: { readonly id: string; readonly name: string };
  /** As `readMessage` gave it. */
  readonly message?: string | undefined;
  /** The level that was asked for, where it is stricter than the types' own. */
  readonly level?: AuthenticationLevel | undefined;
  readonly expiresAt: number;
  readonly salt: string;
}): Card | DetailsRefusal {
  const { expiresAt, salt } = input;
  const agent = { id: input.agent.id, name: input.agent.name };
  const rendered: CardPart[] = [];
  for (const [at, part] of input.parts.entries()) {
    const card = renderPart(part, at);
    if ("refused" in card) return card;
    rendered.push(card);
  }
  const definitions = input.parts.map(({ policy }) => policy.definition);
  const [first, ...others] = rendered;
  const audience = definitions[0]?.audience;
  if (!first || audience === undefined) throw new Error("a card has at least one part");
  const digestParts = input.parts.map(({ policy, bound }) => {
    return { type: policy.definition.type, typeHash: policy.hash, bound };
  });
  const strictest = Math.max(
    ...definitions.map(({ reversibility }) => reversibilities.indexOf(reversibility)),
  );
  const message = { ...(input.message !== undefined && { message: input.message }) };
  const shared = {
    reversibility: reversibilities[strictest]!,
    level: input.level ?? definitions.map(({ level }) => level).reduce(maxLevel),
    audience,
    digest: partsDigest(audience, digestParts),
    expiresAt,
    salt,
  };
  if (others.length > 0) return { v: 2, agent, parts: rendered, words: message, ...shared };
  const { type, sentence, rows, words } = first;
  return { v: 1, type, agent, sentence, rows, words: { ...message, ...words }, ...shared };
}

/** What would be done, each part on its own. */
export function getCardParts(card: Card): readonly CardPart[] {
  return card.v === 1 ? [card] : card.parts;
}

/**
 * What stands above several parts. It speaks of the answer alone: that all of it then happens, or none, is the API's to
 * keep.
 */
export function formatPartCount(parts: readonly unknown[]): string {
  return `${parts.length} actions, one decision`;
}

function renderPart({ policy, bound, advisory }: ParsedPart, at: number): CardPart | DetailsRefusal {
  const { definition } = policy;
  const rows: CardRow[] = [];
  const words: CardRow[] = [];
  const values = new Map<string, string>();
  const seen = new Set<string>();
  for (const row of definition.rows) {
    const fields = definition.bound.includes(row.field) ? bound : advisory;
    const value = Object.hasOwn(fields, row.field) ? fields[row.field] : undefined;
    if (value === undefined) continue;
    const currency = row.currency === undefined ? undefined : bound[row.currency];
    const formatted = formatValue(row, value, currency);
    if (typeof formatted !== "string") return refuse(row, at, formatted.refused);
    const cardRow = { label: row.label, value: formatted, field: row.field };
    (fields === bound ? rows : words).push(cardRow);
    values.set(row.field, row.as === "text" && typeof value === "string" ? quote(formatted) : formatted);
    seen.add(row.field);
    if (row.currency !== undefined && fields === bound) seen.add(row.currency);
  }
  const hidden = [...Object.keys(bound), ...Object.keys(advisory)].filter((name) => !seen.has(name));
  if (hidden.length > 0) throw new Error(`a card of ${definition.type} would not show ${hidden.join(", ")}`);
  const sentence = writeSentence(definition.sentence, values);
  return { type: definition.type, sentence, rows, words: { rows: words } };
}

/** What would be done as plain text, in one line: for a mail's subject, a log line, a terminal. */
export function formatCardSummary(card: Card): string {
  const parts = getCardParts(card);
  const texts = parts.map(({ sentence }) => toPlainText(sentence));
  if (texts.length === 1) return texts.join();
  return `${formatPartCount(parts)}: ${texts.map((text, at) => `(${at + 1}) ${text}`).join("; ")}`;
}

/** One sentence as plain text. */
export function toPlainText(sentence: CardPart["sentence"]): string {
  return sentence.map((token) => ("text" in token ? token.text : token.value)).join("");
}

/** base64url SHA-256 of the canonical card: what the approver's signature commits to having shown. */
export function hashCard(card: Card): string {
  return hashJson(card as unknown as Json);
}

/**
 * A binding message (CIBA §7.1) as it will be quoted: one line, at most 256 code points after normalization to NFC. An
 * empty one is none. `why` is error text.
 */
export function parseBindingMessage(
  text: string | undefined,
): { readonly message?: string } | { readonly refused: "invalid_binding_message"; readonly why: string } {
  const message = (text ?? "").normalize("NFC");
  if (message === "") return {};
  const fault = inspectText(message, { maxCodePoints: 256 });
  return fault === undefined
    ? { message }
    : { refused: "invalid_binding_message", why: `binding_message ${textFaults[fault]}` };
}

function writeSentence(sentence: string, values: ReadonlyMap<string, string>): SentenceToken[] {
  return (parseSentence(sentence) ?? []).map((part) => {
    if ("text" in part) return part;
    const value = values.get(part.field);
    if (value === undefined) throw new Error(`the sentence has a gap where ${part.field} belongs`);
    return { value, field: part.field };
  });
}

function refuse({ field, currency }: Row, at: number, fault: FormatRefusal): DetailsRefusal {
  const name = fault === "unknown_currency" && currency !== undefined ? currency : field;
  return { refused: "invalid_authorization_details", path: `$[${at}].${name}`, why: formatFaults[fault] };
}

const formatFaults: { readonly [fault in FormatRefusal]: string } = {
  wrong_type: "cannot be shown as this action type wants it shown",
  not_a_decimal:
    "must be a plain decimal: up to 15 digits without leading zeros, and up to 8 decimals after a point",
  unknown_currency: "is not an ISO 4217 currency code",
  not_a_duration: "must be a number of seconds that is not negative",
  not_a_time: "must be an RFC 3339 time (2026-11-22T14:00:00Z) or seconds since 1970",
};
