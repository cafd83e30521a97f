/**
 * Signs the server's own JWTs: ES256 (RFC 7518 §3.4) with `node:crypto`. `jose` signs through WebCrypto, which takes three
 * times as long, and a redemption needs two signatures. `jose` verifies the JWTs of clients and, in the tests, these.
 */
import { type KeyObject, sign } from "node:crypto";

export const signingAlgorithm = "ES256";

/** A compact JWS (RFC 7515 §7.1) of these claims, in wire spelling. */
export type SignJwt = (typ: string, claims: Readonly<Record<string, unknown>>) => string;

/** Creates a signer. Throws if `key` is not on P-256. */
export function createJwtSigner(key: KeyObject, kid: string): SignJwt {
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new Error(`the token key ${kid} is not on P-256`);
  const headers = new Map<string, string>();
  const headerOf = (typ: string) => {
    const header = headers.get(typ) ?? base64url(JSON.stringify({ alg: signingAlgorithm, kid, typ }));
    headers.set(typ, header);
    return header;
  };
  return (typ, claims) => {
    const input = `${headerOf(typ)}.${base64url(JSON.stringify(claims))}`;
    return `${input}.${convertDerToRaw(sign("sha256", Buffer.from(input), key)).toString("base64url")}`;
  };
}

const base64url = (text: string) => Buffer.from(text).toString("base64url");

const numberBytes = 32;

/**
 * Converts a DER signature (RFC 3279 §2.2.3) to the concatenated r and s of JWS. DER: SEQUENCE, length, then twice INTEGER,
 * length, and the number without leading zeros except one for the sign. `dsaEncoding: "ieee-p1363"` of `node:crypto` returns
 * the same but takes as long as the signature itself.
 */
function convertDerToRaw(der: Buffer): Buffer {
  const raw = Buffer.alloc(2 * numberBytes);
  let at = 2;
  for (const end of [numberBytes, 2 * numberBytes]) {
    const length = der[at + 1]!;
    const from = at + 2 + Math.max(0, length - numberBytes);
    at += 2 + length;
    der.copy(raw, end - (at - from), from, at);
  }
  return raw;
}
