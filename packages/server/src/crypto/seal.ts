/** Encrypts stored secrets under a subkey of the root key (JWE, `dir`, A256GCM). */
import { CompactEncrypt, compactDecrypt } from "jose";
import { deriveSubkey, type RootKey } from "./root-key.ts";
import type { Seal } from "./secret.ts";

/** Creates the seal for secrets of agents that authenticate by `client_secret_jwt`. */
export function createSecretSeal(key: RootKey): Seal {
  return createSeal(key, "client-secrets");
}

/** Creates a seal. Each purpose has its own subkey: a text sealed for one purpose cannot be opened with another. */
export function createSeal(key: RootKey, purpose: string): Seal {
  const sealKey = deriveSubkey(key, purpose);
  return {
    seal: (text) =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
        .encrypt(sealKey),
    open: async (sealed) => new TextDecoder().decode((await compactDecrypt(sealed, sealKey)).plaintext),
  };
}
