/**
 * The card: what a person sees, the same in every channel. The server writes the sentence and the labels; values stand
 * where they can be told apart from them; the agent's words (binding message, advisory fields) are kept in `words`,
 * always to be quoted as the agent's. The card holds text, never markup: a channel escapes it for its own medium.
 */
import {
  type AuthenticationLevel,
  actionDigest,
  hashJson,
  inspectText,
  type Json,
  type JsonObject,
  type Reversibility,
} from "@countersign/protocol";
import { parseSentence, textFaults } from "./declaration.ts";
import type { ActionRule, Row } from "./definition.ts";
import { type FormatRefusal, formatValue } from "./format.ts";
import { quote } from "./quotation.ts";
import type { DetailsRefusal } from "./read.ts";

/** A piece of the sentence. A value that is free text is in “ ” already. */
export type Part = { readonly text: string } | { readonly value: string; readonly field: string };
export type CardRow = { readonly label: string; readonly value: string; readonly field: string };
export type Card = {
  readonly v: 1;
  readonly type: string;
  readonly agent: { readonly id: string; readonly name: string };
  readonly sentence: readonly Part[];
  /** Every bound field that is there, in the operator's order. */
  readonly rows: readonly CardRow[];
  /** The agent's own words. Values may have several lines. */
  readonly words: { readonly message?: string; readonly rows: readonly CardRow[] };
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
  readonly rule: ActionRule;
  readonly agent: { readonly id: string; readonly name: string };
  readonly bound: JsonObject;
  readonly advisory: JsonObject;
  /** As `readMessage` gave it. */
  readonly message?: string | undefined;
  /** The level that was asked for, where it is stricter than the type's own. */
  readonly level?: AuthenticationLevel | undefined;
  readonly expiresAt: number;
  readonly salt: string;
}): Card | DetailsRefusal {
  const { rule, agent, bound, advisory, message, expiresAt, salt } = input;
  const { definition } = rule;
  const rows: CardRow[] = [];
  const words: CardRow[] = [];
  const values = new Map<string, string>();
  const seen = new Set<string>();
  for (const row of definition.rows) {
    const fields = definition.bound.includes(row.field) ? bound : advisory;
    const value = Object.hasOwn(fields, row.field) ? fields[row.field] : undefined;
    if (value === undefined) continue;
    const currency = row.currency === undefined ? undefined : bound[row.currency];
    const shown = formatValue(row, value, currency);
    if (typeof shown !== "string") return refuse(row, shown.refused);
    const cardRow = { label: row.label, value: shown, field: row.field };
    (fields === bound ? rows : words).push(cardRow);
    values.set(row.field, row.as === "text" && typeof value === "string" ? quote(shown) : shown);
    seen.add(row.field);
    if (row.currency !== undefined && fields === bound) seen.add(row.currency);
  }
  const hidden = [...Object.keys(bound), ...Object.keys(advisory)].filter((name) => !seen.has(name));
  if (hidden.length > 0) throw new Error(`a card of ${definition.type} would not show ${hidden.join(", ")}`);
  const { type, audience, reversibility, level: ownLevel } = definition;
  return {
    v: 1,
    type,
    agent: { id: agent.id, name: agent.name },
    sentence: writeSentence(definition.sentence, values),
    rows,
    words: { ...(message !== undefined && { message }), rows: words },
    reversibility,
    level: input.level ?? ownLevel,
    audience,
    digest: actionDigest({ type, typeHash: rule.hash, audience, bound }),
    expiresAt,
    salt,
  };
}

/** The sentence as plain text: for a mail's subject, a log line, a terminal. */
export function sentenceText(card: Pick<Card, "sentence">): string {
  return card.sentence.map((part) => ("text" in part ? part.text : part.value)).join("");
}

/** base64url SHA-256 of the canonical card: what the approver's signature commits to having shown. */
export function cardHash(card: Card): string {
  return hashJson(card as unknown as Json);
}

/**
 * A binding message (CIBA §7.1) as it will be quoted: one line, at most 256 code points after normalization to NFC. An
 * empty one is none. `why` is error text.
 */
export function readMessage(
  text: string | undefined,
): { readonly message?: string } | { readonly refused: "invalid_binding_message"; readonly why: string } {
  const message = (text ?? "").normalize("NFC");
  if (message === "") return {};
  const fault = inspectText(message, { maxCodePoints: 256 });
  return fault === undefined
    ? { message }
    : { refused: "invalid_binding_message", why: `binding_message ${textFaults[fault]}` };
}

function writeSentence(sentence: string, values: ReadonlyMap<string, string>): Part[] {
  return (parseSentence(sentence) ?? []).map((part) => {
    if ("text" in part) return part;
    const value = values.get(part.field);
    if (value === undefined) throw new Error(`the sentence has a gap where ${part.field} belongs`);
    return { value, field: part.field };
  });
}

function refuse({ field, currency }: Row, fault: FormatRefusal): DetailsRefusal {
  const name = fault === "unknown_currency" && currency !== undefined ? currency : field;
  return { refused: "invalid_authorization_details", path: `$[0].${name}`, why: formatFaults[fault] };
}

const formatFaults: { readonly [fault in FormatRefusal]: string } = {
  wrong_type: "cannot be shown as this action type wants it shown",
  not_a_decimal:
    "must be a plain decimal: up to 15 digits without leading zeros, and up to 8 decimals after a point",
  unknown_currency: "is not an ISO 4217 currency code",
  not_a_duration: "must be a number of seconds that is not negative",
  not_a_time: "must be an RFC 3339 time (2026-11-22T14:00:00Z) or seconds since 1970",
};
