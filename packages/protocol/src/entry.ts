import { hash, randomBytes } from "node:crypto";
import { canonicalize } from "./canonical.ts";
import type { Json, JsonObject } from "./json.ts";

/** Kinds of actor. `admin` is the operator; `system` is the server itself. */
export const actorTypes = ["approver", "admin", "agent", "api", "system", "scim"] as const;

/** Who caused an entry. */
export type Actor = {
  type: (typeof actorTypes)[number];
  /** Of an approver, agent or API always; of others where the server knows one. */
  id?: string;
  /** The door that it came through, for example `page`, `cli`, `config`, `oauth` or `job`. */
  via: string;
};

/**
 * One entry of the audit log: an event, the request and clients that it is about, and who caused it. Ids only; personal
 * text is replaced by a commitment. Version 2 added `actor`; entries of version 1 have none and stay valid.
 */
export type Entry = EntryMembers & ({ v: 1; actor?: undefined } | { v: 2; actor: Actor });

type EntryMembers = {
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
  /** Details without personal data. */
  facts?: JsonObject;
  /** Personal texts by name, each as its `commitText` commitment. Erasing the text and its salt leaves the entry unchanged. */
  texts?: { [name: string]: string };
};

/**
 * Returns the log line of an entry: canonical JSON on one line. Its UTF-8 bytes are the Merkle leaf. Undefined members, and
 * members that `Entry` does not declare, are left out. Throws a TypeError where `canonicalize` does.
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
 * Returns a commitment to a text: SHA-256 over the salt and the text in UTF-8, base64url. `salt` has 32 bytes; default:
 * random. Throws a TypeError for a salt of another length or a text with a lone surrogate.
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
 * Returns whether a commitment was made to this text with this salt. A salt of another length is rejected: otherwise bytes
 * moved from the text into the salt would open the same commitment to another text.
 */
export function opensCommitment(commitment: string, text: string, salt: string): boolean {
  const bytes = Buffer.from(salt, "base64url");
  if (bytes.length !== saltBytes || bytes.toString("base64url") !== salt || !text.isWellFormed())
    return false;
  return commitText(text, bytes).commitment === commitment;
}
