import { createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import type { Hash } from "./merkle.ts";

/** A signed state of the log: its first `size` entries. Encoded as a C2SP tlog-checkpoint, a C2SP signed note. */
export type Checkpoint = {
  /** The log's name, such as `as.example.com/log`; also the name of its key. Without white space and `+`. */
  origin: string;
  size: number;
  root: Hash;
};

type NoteRefusal = { refused: "malformed" | "unknown_key" | "bad_signature" };

/**
 * Formats the key that verifies a log: `<origin>+<key id, hex>+<base64(0x01 ‖ public key)>`.
 *
 * @param origin - The log's name.
 * @param publicKey - An Ed25519 public key.
 * @returns The verifier key of C2SP signed-note.
 * @throws {TypeError} The name has white space or `+`, or the key is not Ed25519.
 * @example
 * verifierKey("countersign.example/log", publicKey);
 */
export function verifierKey(origin: string, publicKey: KeyObject): string {
  requireName(origin);
  const bytes = typedKey(publicKey);
  return `${origin}+${keyId(origin, bytes).toString("hex")}+${bytes.toString("base64")}`;
}

/**
 * Signs a checkpoint with the log's Ed25519 key.
 *
 * @param checkpoint - The log's name, size and root hash.
 * @param privateKey - An Ed25519 private key.
 * @returns The signed note.
 * @throws {TypeError} The name, the size, the root hash or the key is invalid.
 * @example
 * signCheckpoint({ origin: "countersign.example/log", size, root }, privateKey);
 */
export function signCheckpoint(checkpoint: Checkpoint, privateKey: KeyObject): string {
  const { origin, size, root } = checkpoint;
  requireName(origin);
  if (!Number.isSafeInteger(size) || size < 0) throw new TypeError(`invalid tree size: ${size}`);
  if (root.length !== 32) throw new TypeError("the root hash must have 32 bytes");
  const text = `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
  const id = keyId(origin, typedKey(createPublicKey(privateKey)));
  const signature = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${origin} ${signature.toString("base64")}\n`;
}

/**
 * Verifies and parses a checkpoint. Signatures of other keys (witnesses) are ignored; extension lines are signed and not
 * parsed. The note is rejected if any signature of this key is wrong, and as `unknown_key` if the origin is not the key's
 * name.
 *
 * @param note - The signed note.
 * @param logKey - The log's verifier key, from a trusted source.
 * @returns The checkpoint, or the reason for its rejection.
 * @throws {TypeError} `logKey` is not an Ed25519 verifier key.
 * @example
 * const checkpoint = openCheckpoint(note, logKey);
 * if ("refused" in checkpoint) throw new Error(checkpoint.refused);
 */
export function openCheckpoint(note: string, logKey: string): Checkpoint | NoteRefusal {
  const text = openNote(note, logKey);
  if (typeof text !== "string") return text;
  const match = /^([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*$/.exec(text);
  if (match === null) return { refused: "malformed" };
  const [, origin, size, root] = match as unknown as [string, string, string, string];
  const bytes = fromBase64(root);
  if (bytes === undefined || !Number.isSafeInteger(Number(size))) return { refused: "malformed" };
  if (!logKey.startsWith(`${origin}+`)) return { refused: "unknown_key" };
  return { origin, size: Number(size), root: bytes };
}

/** Verifies a C2SP signed note. Returns its text, with the final newline, or the reason for its rejection. */
export function openNote(note: string, logKey: string): string | NoteRefusal {
  const key = parseVerifierKey(logKey);
  if (!note.isWellFormed() || /[\x00-\x09\x0b-\x1f]/.test(note)) return { refused: "malformed" };
  const end = note.lastIndexOf("\n\n") + 1; // the text ends at the last empty line
  const text = note.slice(0, end);
  const lines = note.slice(end + 1).split("\n");
  if (end < 2 || lines.pop() !== "" || lines.length === 0) return { refused: "malformed" };
  if (lines.length > maxSignatures) return { refused: "malformed" };
  let signed = false;
  for (const line of lines) {
    const [, name, encoded] = signatureLine.exec(line) ?? [];
    const bytes = encoded === undefined ? undefined : fromBase64(encoded);
    if (bytes === undefined || bytes.length < 5) return { refused: "malformed" };
    if (name !== key.name || !bytes.subarray(0, 4).equals(key.id)) continue;
    signed = verify(null, Buffer.from(text), key.publicKey, bytes.subarray(4));
    if (!signed) return { refused: "bad_signature" };
  }
  return signed ? text : { refused: "unknown_key" };
}

const maxSignatures = 64; // signed-note: "MUST accept at least up to 16"
const ed25519Type = 0x01;
const keyName = /^[^\p{White_Space}\p{Cc}+]+$/u;
const signatureLine = /^— ([^\p{White_Space}\p{Cc}+]+) ([A-Za-z0-9+/]+={0,2})$/u;
const verifierKeyForm = /^([^\p{White_Space}\p{Cc}+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/u;

function requireName(name: string): void {
  if (!keyName.test(name) || !name.isWellFormed()) {
    throw new TypeError(`invalid log name: ${JSON.stringify(name)} (empty, or with white space or "+")`);
  }
}

/** Returns the signature type and the raw public key (RFC 8032), as key ids and verifier keys contain them. */
function typedKey(publicKey: KeyObject): Buffer {
  if (publicKey.asymmetricKeyType !== "ed25519")
    throw new TypeError("the key of a log must be an Ed25519 key");
  return Buffer.concat([
    Buffer.from([ed25519Type]),
    Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url"),
  ]);
}

/** Returns the first four bytes of SHA-256(name ‖ "\n" ‖ type ‖ public key). */
function keyId(name: string, typed: Uint8Array): Buffer {
  return hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), typed]), "buffer").subarray(0, 4);
}

function parseVerifierKey(text: string): { name: string; id: Buffer; publicKey: KeyObject } {
  const [, name, id, encoded] = verifierKeyForm.exec(text) ?? [];
  const typed = encoded === undefined ? undefined : fromBase64(encoded);
  const whole = name !== undefined && typed?.length === 33 && typed[0] === ed25519Type;
  if (!whole || keyId(name, typed).toString("hex") !== id) {
    throw new TypeError("not an Ed25519 verifier key (name+key id+base64 key)");
  }
  const x = typed.subarray(1).toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return { name, id: Buffer.from(id!, "hex"), publicKey };
}

/** Decodes canonical base64 with padding. Returns undefined for any other text. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
