/** Creates DPoP proofs (RFC 9449), one for each request. */

import type { Clock } from "@countersign/protocol/client";
import { InvalidArgumentError } from "@countersign/protocol/client";
import { base64url, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { getAlgorithm, requireUsableKey } from "./signing-key.ts";

const generatedAlgorithm = "ES256";

/** The key pair of the agent, as a Web Crypto key pair or as a private JWK. */
export type DpopKey = CryptoKeyPair | { readonly jwk: JWK };

/** Creates a proof for one request: its method, URL and time (RFC 9449 §4.2). */
export type Prove = (request: ProvenRequest) => Promise<string>;
export type ProvenRequest = {
  readonly method: string;
  readonly url: string | URL;
  /** The nonce that the server or the API required (§8, §9). */
  readonly nonce?: string;
  /** The access token that the request to an API presents (§7). */
  readonly token?: string;
};

/**
 * Creates the signer of DPoP proofs. A given key is imported, and a missing one generated, for the first proof.
 *
 * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: the key is neither a private JWK nor a key pair, or its kind cannot
 * sign. The returned function rejects with `ERR_INVALID_ARGUMENT` for an invalid URL, and with `ERR_AUTHENTICATION` if the
 * key cannot be imported or cannot sign.
 */
export function createProver(key: DpopKey | undefined, clock: Clock): Prove {
  const alg = requireAlgorithm(key);
  let ready: ReturnType<typeof loadKey> | undefined;
  return async ({ method, url, nonce, token }) => {
    ready ??= loadKey(key, alg);
    const { jwk, privateKey } = await requireUsableKey(ready);
    if (!URL.canParse(url)) throw new InvalidArgumentError(`not a URL: ${url}`);
    const { origin, pathname } = new URL(url);
    const claims = {
      jti: crypto.randomUUID(),
      htm: method.toUpperCase(),
      htu: origin + pathname,
      iat: Math.floor(clock.now() / 1000),
      ...(nonce !== undefined && { nonce }),
      ...(token !== undefined && { ath: await sha256(token) }),
    };
    const jwt = new SignJWT(claims).setProtectedHeader({ typ: "dpop+jwt", alg, jwk });
    return requireUsableKey(jwt.sign(privateKey));
  };
}

function requireAlgorithm(key: DpopKey | undefined): string {
  if (!key) return generatedAlgorithm;
  const { jwk, publicKey, privateKey } = key as Partial<CryptoKeyPair & { readonly jwk: JWK }>;
  if (!jwk && !(publicKey && privateKey))
    throw new InvalidArgumentError("a DPoP key must be a private JWK or a CryptoKeyPair");
  return getAlgorithm(jwk ? { jwk } : { key: privateKey });
}

/** Imports the key, or generates a key pair whose private key cannot be exported from this process. */
async function loadKey(key: DpopKey | undefined, alg: string) {
  if (key && "jwk" in key)
    return { jwk: pickPublicMembers(key.jwk), privateKey: await importJWK(key.jwk, alg) };
  const { publicKey, privateKey } = key ?? (await generateKeyPair(alg));
  return { jwk: pickPublicMembers(await exportJWK(publicKey)), privateKey };
}

/** Returns the public members of a key (§4.2). */
function pickPublicMembers({ kty, crv, x, y, e, n }: JWK): JWK {
  return kty === "RSA" ? { kty, e, n } : kty === "EC" ? { kty, crv, x, y } : { kty, crv, x };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url.encode(new Uint8Array(digest));
}
