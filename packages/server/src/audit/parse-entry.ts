/** An entry read back from its line, and the personal texts that stand beside it. */
import {
  actorTypes,
  type Entry,
  entryLine,
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
  not_json: "the entry is not JSON that everybody reads alike",
  not_an_entry: "the entry does not have the shape of one",
  not_canonical: "the entry is not in canonical form",
};

/** Reads a leaf. Accepted is only what `entryLine` writes, byte for byte: two readers cannot understand it differently. */
export function readEntry(line: string): Entry | { readonly refused: EntryRefusal } {
  const parsed = parseJson(line);
  if ("refused" in parsed) return { refused: "not_json" };
  const { value } = parsed;
  if (!isEntry(value)) return { refused: "not_an_entry" };
  return entryLine(value) === line ? value : { refused: "not_canonical" };
}

/** Tells what is wrong with texts that claim to be those of an entry. They are all there, or all erased. */
export function checkTexts(entry: Entry, texts: Texts): string | undefined {
  const commitments = entry.texts ?? {};
  for (const name of new Set([...Object.keys(commitments), ...Object.keys(texts)])) {
    const commitment = Object.hasOwn(commitments, name) ? commitments[name] : undefined;
    const opening = Object.hasOwn(texts, name) ? texts[name] : undefined;
    if (commitment === undefined) return `the text ${quote(name)} is none of the entry's`;
    if (opening === undefined) return `the text ${quote(name)} is missing while others are there`;
    if (!opensCommitment(commitment, opening.text, opening.salt))
      return `the text ${quote(name)} is not the one that the entry committed to`;
  }
  return undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
