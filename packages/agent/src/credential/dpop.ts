/** Proofs of possession (RFC 9449): who holds the key that a token is bound to shows it anew with each request. */

import type { Clock } from "@countersign/protocol/client";
import { InvalidArgumentError } from "@countersign/protocol/client";
import { base64url, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { algorithmOf, requireUsableKey } from "./signing-key.ts";

/** A key pair of the agent's own: as Web Crypto makes it, or as a private JWK. */
export type DpopKey = CryptoKeyPair | { readonly jwk: JWK };

/** A proof for one request: this method, this URL, now (RFC 9449 §4.2). */
export type Prove = (request: ProvenRequest) => Promise<string>;
export type ProvenRequest = {
  readonly method: string;
  readonly url: string | URL;
  /** What the server or the API wants to see repeated (§8, §9). */
  readonly nonce?: string;
  /** The token that goes with the request, at an API (§7). */
  readonly token?: string;
};

export function createProver(key: DpopKey | undefined, clock: Clock): Prove {
  let ready: ReturnType<typeof readKey> | undefined;
  return async ({ method, url, nonce, token }) => {
    ready ??= readKey(key);
    const { alg, jwk, privateKey } = await requireUsableKey(ready);
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

/** Without a key of the caller's, one that never leaves this process. */
async function readKey(key: DpopKey | undefined) {
  if (key && "jwk" in key) {
    const alg = algorithmOf(key);
    return { alg, jwk: publicMembers(key.jwk), privateKey: await importJWK(key.jwk, alg) };
  }
  const { publicKey, privateKey } = key ?? (await generateKeyPair("ES256"));
  return {
    alg: algorithmOf({ key: privateKey }),
    jwk: publicMembers(await exportJWK(publicKey)),
    privateKey,
  };
}

/** What the server may see of a key: its public members, and none that may be private (§4.2). */
function publicMembers({ kty, crv, x, y, e, n }: JWK): JWK {
  return kty === "RSA" ? { kty, e, n } : kty === "EC" ? { kty, crv, x, y } : { kty, crv, x };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url.encode(new Uint8Array(digest));
}
