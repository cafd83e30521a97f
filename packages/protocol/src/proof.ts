/**
 * Validates the header and claims of a DPoP proof (RFC 9449 §4.2, §4.3), for the token endpoint and for APIs. The signature
 * and replay are checked elsewhere.
 */
import { clockToleranceSeconds } from "./clock.ts";

/** Signature algorithms of DPoP proofs. Asymmetric only: a proof contains its public key. */
export const proofAlgorithms = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"] as const;

/** How long a proof is accepted after its `iat`. */
const maxProofAgeSeconds = 60;
const maxIdLength = 256;
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/** Error texts by the claim or header that is invalid. */
export const proofFaults = {
  typ: "the DPoP proof's typ is not dpop+jwt",
  jwk: "the DPoP proof's jwk is missing, or is not a public key alone",
  htm: "the DPoP proof's htm is not the method of this request",
  htu: "the DPoP proof's htu is not the URL of this request",
  iat: "the DPoP proof's iat is missing, too old or in the future",
  jti: "the DPoP proof's jti is missing, empty or too long",
  ath: "the DPoP proof's ath is not the hash of this access token",
} as const;
export type ProofFault = keyof typeof proofFaults;

/** A valid proof. */
export type DpopProof = {
  readonly jti: string;
  readonly nonce?: string;
  /** When the proof is too old for every clock within the tolerance, in milliseconds since the epoch. */
  readonly expiresAt: number;
};

/** The received request. `urls` are the receiver's URLs for it, as returned by `comparableUrl`. */
export type DpopRequest = {
  readonly method: string;
  readonly urls: readonly (string | undefined)[];
  /** SHA-256 of the presented access token in base64url. Undefined if none is required. */
  readonly accessTokenHash?: string;
};

/**
 * Validates the header and claims of a proof whose signature was verified with its own `jwk`.
 *
 * @param header - The protected header.
 * @param claims - The claims.
 * @param request - The received request.
 * @param now - Milliseconds since the epoch.
 * @returns The proof, or the name of the invalid claim or header (see `proofFaults`).
 * @example
 * const proof = readDpopProof(protectedHeader, payload, { method: "POST", urls }, Date.now());
 * if ("refused" in proof) throw new Error(proofFaults[proof.refused]);
 */
export function readDpopProof(
  header: { readonly [name: string]: unknown },
  claims: { readonly [name: string]: unknown },
  { method, urls, accessTokenHash }: DpopRequest,
  now: number,
): DpopProof | { readonly refused: ProofFault } {
  const { htm, htu, iat, jti, ath, nonce } = claims;
  if (header.typ !== "dpop+jwt") return { refused: "typ" };
  if (!isPublicKey(header.jwk)) return { refused: "jwk" };
  if (htm !== method) return { refused: "htm" };
  const url = typeof htu === "string" ? comparableUrl(htu) : undefined;
  if (url === undefined || !urls.includes(url)) return { refused: "htu" };
  if (typeof iat !== "number" || !Number.isFinite(iat)) return { refused: "iat" };
  const expiresAt = Math.ceil((iat + maxProofAgeSeconds + clockToleranceSeconds) * 1000);
  if (iat * 1000 > now + clockToleranceSeconds * 1000 || now >= expiresAt) return { refused: "iat" };
  if (typeof jti !== "string" || jti === "" || jti.length > maxIdLength) return { refused: "jti" };
  if (accessTokenHash !== undefined && ath !== accessTokenHash) return { refused: "ath" };
  return { jti, expiresAt, ...(typeof nonce === "string" && { nonce }) };
}

function isPublicKey(jwk: unknown): boolean {
  return typeof jwk === "object" && jwk !== null && !privateMembers.some((name) => Object.hasOwn(jwk, name));
}

/**
 * Normalizes a URL for the comparison of `htu`: without query and fragment (RFC 9449 §4.3), scheme and host in lower case,
 * without default port and unnecessary escapes (RFC 3986 §6.2.2, §6.2.3).
 *
 * @param text - A URL.
 * @returns The normalized URL, or undefined if the text is not an `http:` or `https:` URL or has credentials.
 * @example
 * comparableUrl("HTTPS://API.example:443/%7Ea?b#c"); // "https://api.example/~a"
 */
export function comparableUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, username, password, origin, pathname } = new URL(text);
  if (!/^https?:$/.test(protocol) || username !== "" || password !== "") return undefined;
  return origin + pathname.replace(/%[0-9a-f]{2}/gi, unescapeUnreserved);
}

function unescapeUnreserved(escaped: string): string {
  const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase();
}
