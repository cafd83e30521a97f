/** Authentication levels: how strongly an approver must authenticate, and their names on the wire (`acr`, `amr`). */
import { type AuthenticationLevel, authenticationLevels } from "@countersign/protocol";
import type { Session } from "../people/approver.ts";

/** Level `passkey` requires a passkey that was used less than this time ago. */
export const freshPasskeyMs = 5 * 60_000;

export function maxLevel(a: AuthenticationLevel, b: AuthenticationLevel): AuthenticationLevel {
  return authenticationLevels.indexOf(a) >= authenticationLevels.indexOf(b) ? a : b;
}

const acrPrefix = "urn:countersign:acr:";

export function toAcr(level: AuthenticationLevel): string {
  return acrPrefix + level;
}

/** Returns undefined for an `acr` that is not one of this server's levels. */
export function parseAcr(acr: string): AuthenticationLevel | undefined {
  return authenticationLevels.find((level) => toAcr(level) === acr);
}

/** RFC 8176: a passkey with user verification proves possession of a key, presence, and a second factor. */
export const passkeyAmr: readonly string[] = ["pop", "user", "mfa"];

/** What a session records about a sign-in with a passkey. */
export const passkeyAuthentication = { method: "passkey", amr: passkeyAmr, acr: toAcr("passkey") } as const;

/** Returns true if the session was authenticated with a passkey, or its equivalent, and recently enough for level `passkey`. */
export function hasFreshPasskey({ acr, authenticatedAt }: Session, now: number): boolean {
  const level = parseAcr(acr);
  return (
    level !== undefined && maxLevel(level, "passkey") === level && now < authenticatedAt + freshPasskeyMs
  );
}
