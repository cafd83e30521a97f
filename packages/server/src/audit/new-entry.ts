/**
 * Creates audit log entries. Personal text enters an entry as a commitment (a salted hash); the text and its salt are kept
 * beside the log, so that they can be erased without changing a leaf.
 */
import { commitText, type Entry } from "@countersign/protocol";
import { newId } from "../domain/id.ts";
import type { AnyEntryDetails, EntryDetails, Event } from "./event.ts";

/** A new log entry, and the personal texts that its commitments stand for. */
export type NewEntry = {
  readonly entry: Entry;
  readonly texts: { readonly [name: string]: { readonly text: string; readonly salt: string } };
};

/**
 * Creates an entry at `at` (milliseconds since the epoch). The event decides which actors may cause it, and which members
 * and facts are required.
 */
export function newEntry<E extends Event>(event: E, at: number, details: EntryDetails<NoInfer<E>>): NewEntry {
  const { texts: personalTexts = {}, ...rest } = details as AnyEntryDetails;
  const texts: { [name: string]: { text: string; salt: string } } = {};
  const commitments: { [name: string]: string } = {};
  for (const [name, text] of Object.entries(personalTexts)) {
    if (text === undefined) continue;
    const { commitment, salt } = commitText(text);
    texts[name] = { text, salt };
    commitments[name] = commitment;
  }
  const entry: Entry = { v: 2, id: newId("log", at), at, event, ...rest };
  return { entry: Object.keys(commitments).length > 0 ? { ...entry, texts: commitments } : entry, texts };
}
