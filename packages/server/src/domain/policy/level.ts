/** How strongly an approver must prove who they are, and what that is called on the wire (`acr`, `amr`). */
import { type AuthenticationLevel, authenticationLevels } from "@countersign/protocol";

/** The `passkey` level wants a passkey used no longer ago than this. */
export const freshPasskeyMs = 5 * 60_000;

export function maxLevel(a: AuthenticationLevel, b: AuthenticationLevel): AuthenticationLevel {
  return authenticationLevels.indexOf(a) >= authenticationLevels.indexOf(b) ? a : b;
}

const acrPrefix = "urn:countersign:acr:";

export function toAcr(level: AuthenticationLevel): string {
  return acrPrefix + level;
}

export function parseAcr(acr: string): AuthenticationLevel | undefined {
  return authenticationLevels.find((level) => toAcr(level) === acr);
}

/** RFC 8176: a passkey with user verification proves possession of a key, presence, and a second factor. */
export const passkeyAmr: readonly string[] = ["pop", "user", "mfa"];
