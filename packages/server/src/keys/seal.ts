/** What must be kept and read again is kept encrypted, under the key from outside the database (JWE, A256GCM). */
import { CompactEncrypt, compactDecrypt } from "jose";
import type { Seal } from "../operations/secret.ts";
import { type OutsideKey, subkey } from "./outside-key.ts";

/** For the secrets of agents that sign with them (`client_secret_jwt`): who registers one seals it with this. */
export function sealOfSecrets(key: OutsideKey): Seal {
  return createSeal(key, "client-secrets");
}

/** Each purpose has a key of its own: what was sealed for one does not open for another. */
export function createSeal(key: OutsideKey, purpose: string): Seal {
  const sealing = subkey(key, purpose);
  return {
    seal: (text) =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
        .encrypt(sealing),
    open: async (sealed) => new TextDecoder().decode((await compactDecrypt(sealed, sealing)).plaintext),
  };
}
