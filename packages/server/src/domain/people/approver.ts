/**
 * Approvers, their devices, invitations and sessions. Pure values. They contain no authority: who may decide what is in
 * `domain/policy/`.
 */
export type Approver = {
  /** Stable. Requests, decisions and tokens refer to the approver by it. */
  readonly id: string;
  /** Lower case, unique. Policies name approvers by it. */
  readonly email: string;
  readonly name: string;
  /** CIBA user code (§7.1) as a salted scrypt hash. Undefined: no user code is required for this approver. */
  readonly userCode?: { readonly salt: string; readonly hash: string };
  readonly createdAt: number;
};

/** A passkey. The log has its public key as well, so that signed decisions can be verified without the store. */
export type Device = {
  /** The WebAuthn credential id, base64url. */
  readonly id: string;
  readonly approver: string;
  readonly name: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  /** Enrolled with a test invitation: log entries of its decisions are marked as test. */
  readonly test?: true;
  readonly createdAt: number;
};

/** A one-time enrolment link, found by the hash of its secret. */
export type Invitation = {
  readonly id: string;
  readonly approver: string;
  /** The device that requested the link for a further device. Removing it invalidates the link. */
  readonly device?: string;
  /** For an automated test device. No command creates such an invitation. */
  readonly test?: true;
  readonly createdAt: number;
  readonly expiresAt: number;
};

/** A signed-in browser, found by the hash of its cookie. */
export type Session = {
  readonly id: string;
  readonly approver: string;
  /** The name of the sign-in method. */
  readonly method: string;
  /** Authentication methods (RFC 8176 values). `acr` is one of this server's levels, or a value of the sign-in method. */
  readonly amr: readonly string[];
  readonly acr: string;
  readonly authenticatedAt: number;
  /** The device that signed in, if the method uses one. Removing it ends the session. */
  readonly device?: string;
  /** Signed in with a test device. */
  readonly test?: true;
  readonly expiresAt: number;
};

/** Converts an e-mail address for comparison. ASCII only: U+212A (Kelvin sign) must not become `k` and match another person. */
export function normalizeEmail(email: string): string {
  return email.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
