/**
 * One log entry in the making. Personal text goes in as a commitment, its preimage beside the log, so that it can be
 * erased without touching a leaf.
 */
import { commitText, type Entry, type JsonObject } from "@countersign/protocol";
import { newId } from "../domain/id.ts";

/** A log entry on its way in, with the personal text that its commitments stand for. The text can be erased later. */
export type NewEntry = {
  readonly entry: Entry;
  readonly texts: { readonly [name: string]: { readonly text: string; readonly salt: string } };
};

/** Everything that is ever logged. */
export type Event =
  | "request.created"
  | "request.refused"
  | "request.approved"
  | "request.denied"
  | "request.expired"
  | "request.lapsed"
  | "request.cancelled"
  | "token.issued"
  | "token.reserved"
  | "token.completed"
  | "token.failed"
  | "token.unknown"
  | "token.expired"
  | "token.revoked"
  | "spend.refused"
  | "message.sent"
  | "message.given_up"
  | "callback.failed"
  | "callback.sent"
  | "callback.given_up"
  | "latch.reopened"
  | "agent.added"
  | "agent.changed"
  | "agent.paused"
  | "agent.resumed"
  | "agent.removed"
  | "registration.allowed"
  | "registration.expired"
  | "registration.withdrawn"
  | "api.added"
  | "api.removed"
  | "approver.invited"
  | "approver.removed"
  | "approver.signed_in"
  | "approver.user_code_set"
  | "invitation.expired"
  | "device.enrolled"
  | "device.removed"
  | "type.published"
  | "key.created"
  | "texts.erased";

export type EntryDetails = Pick<Entry, "request" | "agent" | "approver" | "token" | "api" | "digest"> & {
  readonly facts?: JsonObject;
  /** Personal text by name; undefined ones are left out. */
  readonly texts?: { readonly [name: string]: string | undefined };
};

export function newEntry(event: Event, at: number, about: EntryDetails): NewEntry {
  const { texts: given = {}, ...rest } = about;
  const texts: { [name: string]: { text: string; salt: string } } = {};
  const commitments: { [name: string]: string } = {};
  for (const [name, text] of Object.entries(given)) {
    if (text === undefined) continue;
    const { commitment, salt } = commitText(text);
    texts[name] = { text, salt };
    commitments[name] = commitment;
  }
  const entry: Entry = { v: 1, id: newId("log", at), at, event, ...rest };
  return { entry: Object.keys(commitments).length > 0 ? { ...entry, texts: commitments } : entry, texts };
}
