import { hash, randomBytes } from "node:crypto";
import { canonicalize } from "./canonical.ts";
import type { Json, JsonObject } from "./json.ts";

/** One entry of the audit log: what happened, to which request, by whom. Ids only; personal text is committed to. */
export type Entry = {
  v: 1;
  id: string;
  /** When, in ms since the epoch. */
  at: number;
  event: string;
  request?: string;
  agent?: string;
  approver?: string;
  token?: string;
  api?: string;
  digest?: string;
  /** Details that are no personal data. */
  facts?: JsonObject;
  /** Personal texts by name, each as the commitment of `commitText`: erase its salt and text, and the log still stands. */
  texts?: { [name: string]: string };
};

/**
 * An entry as the log keeps it: canonical JSON on one line; its UTF-8 bytes are the leaf. A member that is undefined is
 * absent, and nothing beyond the members of `Entry` is written. Throws a TypeError where `canonicalize` does.
 */
export function entryLine(entry: Entry): string {
  const { v, id, at, event, request, agent, approver, token, api, digest, facts, texts } = entry;
  const line: { [name: string]: Json } = { v, id, at, event };
  const optional = { request, agent, approver, token, api, digest, facts, texts };
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) line[name] = value;
  return canonicalize(line);
}

const saltBytes = 32;

/**
 * Commits to a text without telling it: SHA-256 over the salt followed by the text in UTF-8, base64url. The salt is 32
 * random bytes unless given. Throws a TypeError for a salt of another length or a text with a lone surrogate.
 */
export function commitText(
  text: string,
  salt: Uint8Array = randomBytes(saltBytes),
): { commitment: string; salt: string } {
  if (salt.length !== saltBytes) throw new TypeError(`a salt has ${saltBytes} bytes, not ${salt.length}`);
  if (!text.isWellFormed()) throw new TypeError("cannot commit to a text that holds a lone surrogate");
  const commitment = hash("sha256", Buffer.concat([salt, Buffer.from(text)]), "base64url");
  return { commitment, salt: Buffer.from(salt).toString("base64url") };
}

/**
 * Tells whether a commitment was made to this text with this salt. A salt of any other length is never accepted: bytes
 * moved from the text into the salt would open the same commitment to another text.
 */
export function opensCommitment(commitment: string, text: string, salt: string): boolean {
  const bytes = Buffer.from(salt, "base64url");
  if (bytes.length !== saltBytes || bytes.toString("base64url") !== salt || !text.isWellFormed())
    return false;
  return commitText(text, bytes).commitment === commitment;
}
