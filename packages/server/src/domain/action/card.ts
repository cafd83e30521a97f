/**
 * The card: what the approver sees, the same in every channel. The server writes sentence and labels, and values are
 * displayed so that they cannot be mistaken for them. The agent's text (binding message, advisory fields) is in `words`
 * and is always quoted. A card contains text, never markup: each channel escapes it.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type ActionPart,
  type AuthenticationLevel,
  hashJson,
  inspectText,
  type Json,
  partsDigest,
  type Reversibility,
  reversibilities,
} from "@countersign/protocol";
import { maxLevel } from "../policy/level.ts";
import type { ActionType, Row } from "./action-type.ts";
import { parseSentence, textFaults } from "./declaration.ts";
import { type FormatRefusal, type FormatRefused, formatValue } from "./format.ts";
import type { DetailsRefusal, ParsedPart } from "./parse-details.ts";
import { quote } from "./quotation.ts";

/** A piece of the sentence. A value that is free text is already quoted in “ ”. */
export type SentenceToken = { readonly text: string } | { readonly value: string; readonly field: string };
export type CardRow = { readonly label: string; readonly value: string; readonly field: string };
/** One part of the action, as displayed. */
export type CardPart = {
  readonly type: string;
  readonly sentence: readonly SentenceToken[];
  /** Every bound field that is present, in the operator's order. */
  readonly rows: readonly CardRow[];
  /** The agent's text about this part. Values may have several lines. */
  readonly words: { readonly rows: readonly CardRow[] };
};
/** The card of an action of one part. */
export type SingleCard = CardHeader & CardPart & { readonly v: 1 };
/** The card of an action of several parts, which are decided together. */
export type MultiPartCard = CardHeader & { readonly v: 2; readonly parts: readonly CardPart[] };
export type Card = SingleCard | MultiPartCard;

type CardHeader = {
  readonly agent: { readonly id: string; readonly name: string };
  /** The agent's text about the whole action. */
  readonly words: { readonly message?: string };
  /** The worst reversibility of the parts. */
  readonly reversibility: Reversibility;
  readonly level: AuthenticationLevel;
  readonly audience: string;
  /** The action digest, 43 characters. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** 128 random bits, so that the card's hash in the log does not reveal its content. */
  readonly salt: string;
};

/** Renders the card of parsed parts. Refuses a value that cannot be displayed as declared. */
export function renderCard(input: {
  /** At least one, all of one API. */
  readonly parts: readonly ParsedPart[];
  readonly agent: { readonly id: string; readonly name: string };
  /** As returned by `parseBindingMessage`. */
  readonly message?: string | undefined;
  /** The required level, if stricter than that of the types. */
  readonly level?: AuthenticationLevel | undefined;
  readonly expiresAt: number;
  readonly salt: string;
}): Card | DetailsRefusal {
  const { expiresAt, salt } = input;
  const agent = { id: input.agent.id, name: input.agent.name };
  const rendered: CardPart[] = [];
  for (const [at, part] of input.parts.entries()) {
    const card = renderPart(part.policy.definition, part, at);
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

/** What a request stores about its action and its card. */
export type StoredCard = {
  readonly parts: readonly Readonly<ActionPart>[];
  readonly audience: string;
  readonly level: AuthenticationLevel;
  readonly expiresAt: number;
  readonly digest: string;
  readonly card: Card;
  readonly cardHash: string;
};

/**
 * Derives digest, hash and everything that the server wrote on the card from the stored action again. `definitions` are those
 * that the parts name by hash, in their order. Returns what does not agree, or undefined.
 */
export function findCardMismatch(stored: StoredCard, definitions: readonly ActionType[]): string | undefined {
  const { parts, audience, digest, card } = stored;
  if (partsDigest(audience, parts) !== digest || card.digest !== digest) return "the digest";
  if (hashCard(card) !== stored.cardHash) return "the hash of the card";
  if (card.audience !== audience || card.level !== stored.level || card.expiresAt !== stored.expiresAt)
    return "audience, level or expiry";
  const displayed = getCardParts(card);
  if (displayed.length !== parts.length || definitions.length !== parts.length) return "the number of parts";
  const mismatch = parts.findIndex(({ type, typeHash, bound }, at) => {
    const definition = definitions[at]!;
    if (hashJson(definition as unknown as Json) !== typeHash) return true;
    const rendered = renderPart(definition, { bound, advisory: {} }, at);
    if ("refused" in rendered) return true;
    const { sentence, rows } = displayed[at]!;
    return (
      displayed[at]!.type !== type ||
      !isDeepStrictEqual(sentence, rendered.sentence) ||
      !isDeepStrictEqual(rows, rendered.rows)
    );
  });
  return mismatch < 0 ? undefined : `part ${mismatch + 1}`;
}

/** Returns the parts of a card. */
export function getCardParts(card: Card): readonly CardPart[] {
  return card.v === 1 ? [card] : card.parts;
}

/**
 * The sentence above several parts. It speaks of the decision only: whether all parts are executed or none is the API's
 * responsibility.
 */
export function formatPartCount(parts: readonly unknown[]): string {
  return `${parts.length} actions, one decision`;
}

function renderPart(
  definition: ActionType,
  { bound, advisory }: Pick<ParsedPart, "bound" | "advisory">,
  at: number,
): CardPart | DetailsRefusal {
  const rows: CardRow[] = [];
  const words: CardRow[] = [];
  const values = new Map<string, string>();
  const seen = new Set<string>();
  for (const row of definition.rows) {
    const fields = definition.bound.includes(row.field) ? bound : advisory;
    const value = Object.hasOwn(fields, row.field) ? fields[row.field] : undefined;
    if (value === undefined) continue;
    const currency = row.currency === undefined ? undefined : bound[row.currency];
    let formatted = formatValue(row, value, currency);
    // Advisory values are in no digest, so another spelling does no harm.
    if (fields === advisory && typeof formatted !== "string" && "spelling" in formatted)
      formatted = formatValue(row, formatted.spelling, currency);
    if (typeof formatted !== "string") return refuse(row, at, formatted);
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

/** Formats the action as one line of plain text: for mail subjects, log lines and terminals. */
export function formatCardSummary(card: Card): string {
  const parts = getCardParts(card);
  const texts = parts.map(({ sentence }) => toPlainText(sentence));
  if (texts.length === 1) return texts.join();
  return `${formatPartCount(parts)}: ${texts.map((text, at) => `(${at + 1}) ${text}`).join("; ")}`;
}

/** Formats one sentence as plain text. */
export function toPlainText(sentence: CardPart["sentence"]): string {
  return sentence.map((token) => ("text" in token ? token.text : token.value)).join("");
}

/** Computes SHA-256 of the canonical card, base64url: the approver's signature covers it. */
export function hashCard(card: Card): string {
  return hashJson(card as unknown as Json);
}

/**
 * Parses a binding message (CIBA §7.1): one line, at most 256 code points after normalization to NFC. An empty message
 * counts as absent. `why` is error text.
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

function refuse({ field, currency }: Row, at: number, fault: FormatRefused): DetailsRefusal {
  const name = fault.refused === "unknown_currency" && currency !== undefined ? currency : field;
  const why =
    fault.refused === "not_canonical" ? `must be written ${fault.spelling}` : formatFaults[fault.refused];
  return { refused: "invalid_authorization_details", path: `$[${at}].${name}`, why };
}

const formatFaults: { readonly [fault in FormatRefusal]: string } = {
  wrong_type: "cannot be displayed in the format of this action type",
  not_a_decimal:
    "must be a plain decimal: up to 15 digits without leading zeros, and up to 8 decimals after a point",
  unknown_currency: "is not an ISO 4217 currency code",
  not_a_duration: "must be a number of seconds that is not negative",
  not_a_time: "must be an RFC 3339 time (2026-11-22T14:00:00Z) or seconds since 1970",
};
