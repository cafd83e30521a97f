/**
 * What a DPoP proof must say (RFC 9449 §4.2, §4.3), for the server that binds a token to the proof's key and for the API
 * that wants the proof again. Here is everything but the signature, and whether the proof was seen before.
 */
import { clockToleranceSeconds } from "./clock.ts";

/** Asymmetric ones only: a proof carries its key along, and so no secret can be behind it. */
export const proofAlgorithms = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"] as const;

/** Seconds for which a proof is taken, and by how much its maker's clock may be wrong. */
const maxProofLength = 60;
const maxIdLength = 256;
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/** What can be wrong with a proof, by what is wrong, as its sender is told. */
export const proofFaults = {
  typ: "the DPoP proof's typ is not dpop+jwt",
  jwk: "the DPoP proof's jwk is missing, or is not a public key alone",
  htm: "the DPoP proof's htm is not the method of this request",
  htu: "the DPoP proof's htu is not the URL of this request",
  iat: "the DPoP proof was not made just now: its iat is missing, too old or in the future",
  jti: "the DPoP proof's jti is missing, empty or too long",
  ath: "the DPoP proof's ath is not the hash of this access token",
} as const;
export type ProofFault = keyof typeof proofFaults;

export type DpopProof = {
  readonly jti: string;
  readonly nonce?: string;
  /** Milliseconds since the epoch; from then on it is too old whoever looks. */
  readonly expiresAt: number;
};

/** A request as its receiver knows it. `urls` are its own, as `comparableUrl` answers them. */
export type DpopRequest = {
  readonly method: string;
  readonly urls: readonly (string | undefined)[];
  /** base64url SHA-256 of the access token that came with the proof; undefined where none has to. */
  readonly accessTokenHash?: string;
};

/** Looks at the header and claims of a proof whose signature verifies under its own `jwk`. */
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
  const expiresAt = Math.ceil((iat + maxProofLength + clockToleranceSeconds) * 1000);
  if (iat * 1000 > now + clockToleranceSeconds * 1000 || now >= expiresAt) return { refused: "iat" };
  if (typeof jti !== "string" || jti === "" || jti.length > maxIdLength) return { refused: "jti" };
  if (accessTokenHash !== undefined && ath !== accessTokenHash) return { refused: "ath" };
  return { jti, expiresAt, ...(typeof nonce === "string" && { nonce }) };
}

function isPublicKey(jwk: unknown): boolean {
  return typeof jwk === "object" && jwk !== null && !privateMembers.some((name) => Object.hasOwn(jwk, name));
}

/**
 * A URL in the one spelling under which `htu` is compared: without query and fragment (RFC 9449 §4.3), scheme and host in
 * lower case, no default port, nothing escaped that need not be (RFC 3986 §6.2.2, §6.2.3). Undefined for what is no
 * `http:` or `https:` URL, or names an account.
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
