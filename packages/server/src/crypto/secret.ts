/** Secrets that this server issues: 256 random bits, shown once and stored only as a hash. */
import { hash, randomBytes } from "node:crypto";

export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** Returns the SHA-256 of a secret, base64url. No salt or key stretching: 256 random bits cannot be guessed. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** Encrypts and decrypts under a subkey of the root key. Created by `createSeal`. */
export type Seal = {
  readonly seal: (text: string) => Promise<string>;
  /** Rejects if the text was not sealed with this key. */
  readonly open: (sealed: string) => Promise<string>;
};
