/**
 * The root key: 32 bytes from a file or the environment, never stored in the database. A copy of the database alone reveals
 * no `auth_req_id`, private key or session. Every purpose has its own subkey (HKDF, RFC 5869).
 */
import { createHmac, createSecretKey, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

/** Computes and verifies HMACs under a subkey of the root key. Created by `createMac`. */
export type Mac = {
  readonly make: (...parts: readonly string[]) => string;
  readonly check: (mac: string, ...parts: readonly string[]) => boolean;
};

export type RootKey = Uint8Array;

/** Parses 32 bytes of base64url. Throws an error that names `source`. */
export function parseRootKey(text: string, source: string): RootKey {
  const key = Buffer.from(text.trim(), "base64url");
  if (key.length !== 32)
    throw new Error(`${source} does not contain a key: 32 bytes in base64url are required`);
  return new Uint8Array(key);
}

/** Loads the key from `COUNTERSIGN_KEY` if set, otherwise from the file. */
export function loadRootKey(file: string): RootKey {
  const variable = process.env.COUNTERSIGN_KEY;
  if (variable) return parseRootKey(variable, "COUNTERSIGN_KEY");
  return parseRootKey(readFileSync(file, "utf8"), file);
}

/** Writes a new key with file mode 0600. Throws if the file exists. */
export function createRootKey(file: string): void {
  writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
}

export function deriveSubkey(key: RootKey, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), `countersign/${purpose}`, 32));
}

/** HMAC-SHA-256 over the parts, each prefixed with its length, so that different lists never have the same input. */
export function createMac(key: RootKey, purpose: string): Mac {
  // Derived once: every poll computes an HMAC.
  const secret = createSecretKey(deriveSubkey(key, purpose));
  const computeMac = (parts: readonly string[]) => {
    const text = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("");
    return createHmac("sha256", secret).update(text).digest();
  };
  return {
    make: (...parts) => computeMac(parts).toString("base64url"),
    check: (mac, ...parts) => {
      const actual = Buffer.from(mac, "base64url");
      const expected = computeMac(parts);
      return (
        actual.length === expected.length &&
        timingSafeEqual(actual, expected) &&
        mac === expected.toString("base64url")
      );
    },
  };
}
