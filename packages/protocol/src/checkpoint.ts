import { createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import type { Hash } from "./merkle.ts";

/** The log's word about itself: these are the first `size` entries. In C2SP tlog-checkpoint form, a C2SP signed note. */
export type Checkpoint = {
  /** The log's name, as in `as.example.com/log`; also the name of the key that signs. No white space, no "+". */
  origin: string;
  size: number;
  root: Hash;
};

type NoteRefusal = { refused: "malformed" | "unknown_key" | "bad_signature" };

/** The key to check a log with, as text: `<origin>+<key id, hex>+<base64(0x01 ‖ public key)>`. Ed25519 only. */
export function verifierKey(origin: string, publicKey: KeyObject): string {
  requireName(origin);
  const bytes = typedKey(publicKey);
  return `${origin}+${keyId(origin, bytes).toString("hex")}+${bytes.toString("base64")}`;
}

/** Signs a checkpoint with the log's Ed25519 key and answers the whole note. */
export function signCheckpoint(checkpoint: Checkpoint, privateKey: KeyObject): string {
  const { origin, size, root } = checkpoint;
  requireName(origin);
  if (!Number.isSafeInteger(size) || size < 0) throw new TypeError(`not a tree size: ${size}`);
  if (root.length !== 32) throw new TypeError("a root hash has 32 bytes");
  const text = `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
  const id = keyId(origin, typedKey(createPublicKey(privateKey)));
  const signature = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${origin} ${signature.toString("base64")}\n`;
}

/**
 * Opens a note that claims to be a checkpoint of the log whose key is given. A log speaks only for its own name: where
 * key name and origin differ, the key is unknown. Signatures by other keys (witnesses) are ignored, extension lines are
 * signed but not read. A note is refused as a whole if any signature under this key is wrong. Throws a TypeError for a
 * verifier key that is none: that is the reader's own configuration.
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

/** Opens a C2SP signed note and answers its text, final newline included. */
export function openNote(note: string, logKey: string): string | NoteRefusal {
  const key = parseVerifierKey(logKey);
  if (!note.isWellFormed() || /[\x00-\x09\x0b-\x1f]/.test(note)) return { refused: "malformed" };
  const end = note.lastIndexOf("\n\n") + 1; // the text is whatever comes before the last empty line
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
    throw new TypeError(`not a log's name: ${JSON.stringify(name)} (no white space, no "+", not empty)`);
  }
}

/** The signature type and the raw public key (RFC 8032), as key ids and verifier keys have them. */
function typedKey(publicKey: KeyObject): Buffer {
  if (publicKey.asymmetricKeyType !== "ed25519") throw new TypeError("a log signs with an Ed25519 key");
  return Buffer.concat([
    Buffer.from([ed25519Type]),
    Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url"),
  ]);
}

/** The first four bytes of SHA-256(name ‖ "\n" ‖ type ‖ public key). */
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

/** Decodes standard base64 with its padding, in its one canonical spelling. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
