import { hash, randomBytes } from "node:crypto";
import { canonicalize } from "./canonical.ts";
import type { Json, JsonObject } from "./json.ts";

/** Kinds of actor. `admin` is the operator; `system` is the server itself. */
export const actorTypes = ["approver", "admin", "agent", "api", "system", "scim"] as const;

/** Who caused an entry. */
export type Actor = {
  type: (typeof actorTypes)[number];
  /** Always set for approvers, agents and APIs; for others if the server knows it. */
  id?: string;
  /** The interface that was used, for example `page`, `cli`, `config`, `oauth` or `job`. */
  via: string;
};

/**
 * One entry of the audit log: an event, the request and clients that it is about, and who caused it. Ids only; personal
 * text is replaced by a commitment. Version 2 added `actor`; entries of version 1 have none and stay valid.
 */
export type Entry = EntryMembers & ({ v: 1; actor?: undefined } | { v: 2; actor: Actor });

type EntryMembers = {
  id: string;
  /** Time of the event, in milliseconds since the epoch. */
  at: number;
  event: string;
  request?: string;
  agent?: string;
  approver?: string;
  token?: string;
  api?: string;
  digest?: string;
  /** Details without personal data. */
  facts?: JsonObject;
  /** Personal texts by name, each as its `commitText` commitment. Erasing the text and its salt leaves the entry unchanged. */
  texts?: { [name: string]: string };
};

/**
 * Returns the log line of an entry: canonical JSON on one line. Its UTF-8 bytes are the Merkle leaf. Undefined members, and
 * members that `Entry` does not declare, are left out.
 *
 * @param entry - The entry.
 * @returns One line without a line feed.
 * @throws {TypeError} A value is not JSON of this protocol, as in `canonicalize`.
 * @example
 * leafHash(entryLine(entry));
 */
export function entryLine(entry: Entry): string {
  const { v, id, at, event, actor, request, agent, approver, token, api, digest, facts, texts } = entry;
  const line: { [name: string]: Json } = { v, id, at, event };
  if (actor) {
    const { type, id: actorId, via } = actor;
    line.actor = actorId === undefined ? { type, via } : { type, id: actorId, via };
  }
  const optional = { request, agent, approver, token, api, digest, facts, texts };
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) line[name] = value;
  return canonicalize(line);
}

const saltBytes = 32;

/**
 * Computes a commitment to a text: SHA-256 of the salt and the text in UTF-8.
 *
 * @param text - The text.
 * @param salt - 32 bytes. Default: random.
 * @returns The commitment and the salt, in base64url.
 * @throws {TypeError} The salt has another length, or the text contains a lone surrogate.
 * @example
 * const { commitment, salt } = commitText("The customer returned the goods");
 */
export function commitText(
  text: string,
  salt: Uint8Array = randomBytes(saltBytes),
): { commitment: string; salt: string } {
  if (salt.length !== saltBytes)
    throw new TypeError(`the salt must have ${saltBytes} bytes, not ${salt.length}`);
  if (!text.isWellFormed()) throw new TypeError("cannot commit to a text with a lone surrogate");
  const commitment = hash("sha256", Buffer.concat([salt, Buffer.from(text)]), "base64url");
  return { commitment, salt: Buffer.from(salt).toString("base64url") };
}

/**
 * Returns true if a commitment was made to this text with this salt. A salt of another length is rejected: otherwise bytes
 * moved from the text into the salt would open the same commitment to another text.
 *
 * @param commitment - As returned by `commitText`.
 * @param text - The text.
 * @param salt - As returned by `commitText`.
 * @example
 * opensCommitment(commitment, "The customer returned the goods", salt); // true
 */
export function opensCommitment(commitment: string, text: string, salt: string): boolean {
  const bytes = Buffer.from(salt, "base64url");
  if (bytes.length !== saltBytes || bytes.toString("base64url") !== salt || !text.isWellFormed())
    return false;
  return commitText(text, bytes).commitment === commitment;
}
