/**
 * One passkey ceremony: a question that is handed out without writing anything down, and can be answered once. The
 * token in the form says until when, and carries a stamp over what it is for; using it up is a write in the very commit
 * that the ceremony is for, so that the same answer twice is a conflict. Opening a page thus never writes.
 */

import { hash, randomBytes } from "node:crypto";
import type { Mac } from "../../crypto/root-key.ts";
import { absent, type Write } from "../../store/store.ts";

/** How long a question may lie unanswered, where nothing else ends it. */
export const ceremonyMs = 10 * 60_000;
const skewMs = 60_000;

/** A token for one ceremony. `about` is what it is for: the purpose, then whose, or which request. */
export function beginCeremony(stamp: Mac, expiresAt: number, ...about: readonly string[]): string {
  const stamped = `${expiresAt}.${randomBytes(16).toString("base64url")}`;
  return `${stamped}.${stamp.make(stamped, ...about)}`;
}

/** The write that uses the token up, or undefined for one that is not for this, or is past its time. */
export function finishCeremony(
  stamp: Mac,
  token: string,
  now: number,
  ...about: readonly string[]
): Write<"replay"> | undefined {
  const [until = "", random = "", proof = ""] = token.split(".");
  const expiresAt = Number(until);
  if (!stamp.check(proof, `${until}.${random}`, ...about) || now >= expiresAt) return undefined;
  // Remembered for longer than it is good, so that a node whose clock is behind does not take it again.
  const record = { id: hash("sha256", token, "base64url"), expiresAt: expiresAt + skewMs };
  return { put: "replay", record, ifVersion: absent };
}

/** What the authenticator is asked to sign where the ceremony is about nothing but itself. */
export function computeChallenge(token: string): string {
  return hash("sha256", token, "base64url");
}
