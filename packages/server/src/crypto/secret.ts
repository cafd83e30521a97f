/** Secrets that this server makes for others: 256 random bits, handed over once, and kept only as a hash. */
import { hash, randomBytes } from "node:crypto";

export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** What a secret is known by. It needs no salt and no stretching: nobody can guess 256 bits. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** Encrypts under the key from outside the database, and opens again. Declared here, built in `keys/`. */
export type Seal = {
  readonly seal: (text: string) => Promise<string>;
  /** Throws a fault for what was not sealed here. */
  readonly open: (sealed: string) => Promise<string>;
};
