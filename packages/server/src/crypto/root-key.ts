/**
 * The key from outside the database: 32 bytes from a file or the environment. Whoever copies the database alone gets
 * no request handles, no private keys and no sessions out of it. Every use has a subkey of its own (HKDF, RFC 5869).
 */
import { createHmac, createSecretKey, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

/** Makes and checks short proofs under a key from outside the store. Built in `keys/`. */
export type Mac = {
  readonly make: (...parts: readonly string[]) => string;
  readonly check: (stamp: string, ...parts: readonly string[]) => boolean;
};

export type RootKey = Uint8Array;

/** Reads 32 bytes of base64url. Throws a fault that says where the key was looked for. */
export function parseRootKey(text: string, source: string): RootKey {
  const key = Buffer.from(text.trim(), "base64url");
  if (key.length !== 32) throw new Error(`${source} does not hold a key: 32 bytes in base64url are needed`);
  return new Uint8Array(key);
}

/** The environment variable goes before the file. */
export function loadRootKey(file: string): RootKey {
  const variable = process.env.COUNTERSIGN_KEY;
  if (variable) return parseRootKey(variable, "COUNTERSIGN_KEY");
  return parseRootKey(readFileSync(file, "utf8"), file);
}

/** Writes a fresh key, readable by its owner alone. Never overwrites one. */
export function createRootKey(file: string): void {
  writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
}

export function deriveSubkey(key: RootKey, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), `countersign/${purpose}`, 32));
}

/** HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts are the same bytes. */
export function createMac(key: RootKey, purpose: string): Mac {
  // Prepared once: every poll makes one of these.
  const secret = createSecretKey(deriveSubkey(key, purpose));
  const computeMac = (parts: readonly string[]) => {
    const text = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("");
    return createHmac("sha256", secret).update(text).digest();
  };
  return {
    make: (...parts) => computeMac(parts).toString("base64url"),
    check: (mac, ...parts) => {
      const given = Buffer.from(mac, "base64url");
      const expected = computeMac(parts);
      return (
        given.length === expected.length &&
        timingSafeEqual(given, expected) &&
        mac === expected.toString("base64url")
      );
    },
  };
}
