/** What must be kept and read again is kept encrypted, under the key from outside the database (JWE, A256GCM). */
import { CompactEncrypt, compactDecrypt } from "jose";
import { deriveSubkey, type RootKey } from "./root-key.ts";
import type { Seal } from "./secret.ts";

/** For the secrets of agents that sign with them (`client_secret_jwt`): who registers one seals it with this. */
export function createSecretSeal(key: RootKey): Seal {
  return createSeal(key, "client-secrets");
}

/** Each purpose has a key of its own: what was sealed for one does not open for another. */
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
