/** Public keys together with what became of them when they were imported: each once, for as long as the set is kept. */
import type { JsonObject } from "@countersign/protocol";
import { createLocalJWKSet } from "jose";

export type KeySet = {
  readonly jwks: readonly JsonObject[];
  /** Finds the key for a header, as `jose` asks for it; none where the keys cannot be read at all. */
  readonly find: ReturnType<typeof createLocalJWKSet>;
};

export function createKeySet(jwks: readonly JsonObject[]): KeySet {
  // What is no object is no key. Nothing else is asked of them here: those who register keys have read them.
  const keys = jwks.filter((jwk) => typeof jwk === "object" && jwk !== null);
  return { jwks: keys, find: createLocalJWKSet({ keys: keys as never }) };
}
