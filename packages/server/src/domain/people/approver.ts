/**
 * The person who decides: who they are, the devices they decide on, and how they came to be enrolled.
 * Pure values. Nothing here says what they may decide; that is `approver/rule.ts`.
 */
export type Approver = {
  readonly id: string;
  /** Lower case. The rules in the configuration name people by it. */
  readonly email: string;
  readonly name: string;
  /** Their user code (CIBA §7.1), as a salted scrypt hash; without one, none is asked for. */
  readonly userCode?: { readonly salt: string; readonly hash: string };
  readonly createdAt: number;
};

/** A passkey. Its public key is in the log as well, so that a signed decision can be verified later by anybody. */
export type Device = {
  /** The WebAuthn credential id, base64url. */
  readonly id: string;
  readonly approver: string;
  readonly name: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  /** Enrolled by a test, with an invitation that says so: whatever is decided on it says so in the log. */
  readonly test?: true;
  readonly createdAt: number;
};

/** A one-time enrolment link, found by the hash of its secret. */
export type Invitation = {
  readonly id: string;
  readonly approver: string;
  /** The device of one's own that it was asked for on. The link ends when that device is taken away. */
  readonly device?: string;
  /** For a device that no person holds. No command makes such an invitation. */
  readonly test?: true;
  readonly createdAt: number;
  readonly expiresAt: number;
};

/** A signed-in browser, found by the hash of its cookie. */
export type Session = {
  readonly id: string;
  readonly approver: string;
  readonly device: string;
  /** As its device is. */
  readonly test?: true;
  readonly authenticatedAt: number;
  readonly expiresAt: number;
};

/** How e-mail addresses are compared. ASCII only: U+212A must not become a k and so a namesake. */
export function normalizeEmail(email: string): string {
  return email.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
