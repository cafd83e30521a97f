/**
 * WebAuthn ceremonies without stored challenges, so that a GET writes nothing. The token in the form contains its expiry and
 * an HMAC over its purpose. The commit that the ceremony is for also writes a replay record, so that a token is accepted once.
 */
import { hash, randomBytes } from "node:crypto";
import type { Mac } from "../../crypto/root-key.ts";
import { absent, type Write } from "../../store/store.ts";

/** Default lifetime of a ceremony. */
export const ceremonyMs = 10 * 60_000;
const skewMs = 60_000;

/** Creates a token. `about` is what it is for: the purpose, then the ids of the request and the approver, if any. */
export function beginCeremony(mac: Mac, expiresAt: number, ...about: readonly string[]): string {
  const payload = `${expiresAt}.${randomBytes(16).toString("base64url")}`;
  return `${payload}.${mac.make(payload, ...about)}`;
}

/** Returns the write that uses the token up; undefined if it is for another purpose or expired. */
export function finishCeremony(
  mac: Mac,
  token: string,
  now: number,
  ...about: readonly string[]
): Write<"replay"> | undefined {
  const [expiry = "", random = "", tag = ""] = token.split(".");
  const expiresAt = Number(expiry);
  if (!mac.check(tag, `${expiry}.${random}`, ...about) || now >= expiresAt) return undefined;
  // Kept longer than the token is valid: a node whose clock is behind must not accept it again.
  const record = { id: hash("sha256", token, "base64url"), expiresAt: expiresAt + skewMs };
  return { put: "replay", record, ifVersion: absent };
}

/** Computes the WebAuthn challenge of a ceremony that signs nothing but its own token (enrolment, sign-in). */
export function computeChallenge(token: string): string {
  return hash("sha256", token, "base64url");
}
