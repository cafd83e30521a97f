/** A set of public keys. Each key is imported once and cached as long as the set exists. */
import type { JsonObject } from "@countersign/protocol";
import { createLocalJWKSet } from "jose";

export type KeySet = {
  readonly jwks: readonly JsonObject[];
  /** Key lookup by JWS header, for `jose`. */
  readonly find: ReturnType<typeof createLocalJWKSet>;
};

export function createKeySet(jwks: readonly JsonObject[]): KeySet {
  // Drop values that are not objects. Keys are validated when they are registered or fetched.
  const keys = jwks.filter((jwk) => typeof jwk === "object" && jwk !== null);
  return { jwks: keys, find: createLocalJWKSet({ keys: keys as never }) };
}
