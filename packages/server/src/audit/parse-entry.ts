/** Parses log entries and checks the personal texts stored beside them. */
import {
  actorTypes,
  type Entry,
  entryLine,
  isObject,
  type Json,
  type JsonObject,
  opensCommitment,
  parseJson,
} from "@countersign/protocol";
import { quote } from "./problem.ts";

/** Personal texts by name, each with the salt of its commitment. */
export type Texts = { readonly [name: string]: { readonly text: string; readonly salt: string } };

export type EntryRefusal = "not_json" | "not_an_entry" | "not_canonical";

export const entryFaults: { readonly [refusal in EntryRefusal]: string } = {
  not_json: "the entry is not unambiguous JSON",
  not_an_entry: "the entry does not have the members of an entry",
  not_canonical: "the entry is not in canonical form",
};

/** Parses a leaf. Accepts only what `entryLine` writes, byte for byte, so that all readers see the same entry. */
export function readEntry(line: string): Entry | { readonly refused: EntryRefusal } {
  const parsed = parseJson(line);
  if ("refused" in parsed) return { refused: "not_json" };
  const { value } = parsed;
  if (!isEntry(value)) return { refused: "not_an_entry" };
  return entryLine(value) === line ? value : { refused: "not_canonical" };
}

/** Returns what is wrong with the texts of an entry, or undefined. Either all of them are present, or none. */
export function checkTexts(entry: Entry, texts: Texts): string | undefined {
  const commitments = entry.texts ?? {};
  for (const name of new Set([...Object.keys(commitments), ...Object.keys(texts)])) {
    const commitment = Object.hasOwn(commitments, name) ? commitments[name] : undefined;
    const opening = Object.hasOwn(texts, name) ? texts[name] : undefined;
    if (commitment === undefined) return `the entry has no text ${quote(name)}`;
    if (opening === undefined) return `the text ${quote(name)} is missing, while others are present`;
    if (!opensCommitment(commitment, opening.text, opening.salt))
      return `the text ${quote(name)} does not match its commitment`;
  }
  return undefined;
}

const ids = ["request", "agent", "approver", "token", "api", "digest"] as const;
const members: readonly string[] = ["v", "id", "at", "event", "actor", "facts", "texts", ...ids];

function isEntry(value: Json): value is Entry & JsonObject {
  if (!isObject(value) || !Object.keys(value).every((name) => members.includes(name))) return false;
  const { v, id, at, event, actor, facts, texts } = value;
  return (
    (v === 1 ? actor === undefined : v === 2 && isActor(actor)) &&
    isName(id) &&
    isName(event) &&
    typeof at === "number" &&
    at >= 0 &&
    ids.every((name) => value[name] === undefined || isName(value[name])) &&
    (facts === undefined || isObject(facts)) &&
    (texts === undefined || (isObject(texts) && Object.values(texts).every(isName)))
  );
}

function isActor(value: Json | undefined): boolean {
  if (!isObject(value) || !Object.keys(value).every((name) => ["type", "id", "via"].includes(name)))
    return false;
  const { type, id, via } = value;
  return actorTypes.some((name) => name === type) && isName(via) && (id === undefined || isName(id));
}

function isName(value: Json | undefined): boolean {
  return typeof value === "string" && value !== "";
}
