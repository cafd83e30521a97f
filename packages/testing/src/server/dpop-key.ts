/** A key that an agent binds its tokens to (RFC 9449), and the proofs that it makes; whatever a test wants wrong in them. */
import { hash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

export type ProofKey = {
  /** The thumbprint that a bound token names. */
  readonly jkt: string;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
  readonly prove: (said: Said, header?: Readonly<Record<string, unknown>>) => Promise<string>;
};

/** `now` is in milliseconds; `token` is the access token that comes along. What is undefined is left out. */
export type Said = {
  readonly htm?: string;
  readonly htu: string;
  readonly now: number;
  readonly token?: string;
  readonly [claim: string]: unknown;
};

export async function createProofKey(alg = "ES256"): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  return {
    jkt: await calculateJwkThumbprint(publicJwk),
    publicJwk,
    privateJwk: await exportJWK(privateKey),
    prove: ({ now, token, ...claims }, header = {}) => {
      const ath = token === undefined ? {} : { ath: hash("sha256", token, "base64url") };
      const said = { htm: "POST", iat: Math.floor(now / 1000), jti: randomUUID(), ...ath, ...claims };
      return new SignJWT(said)
        .setProtectedHeader({ alg, typ: "dpop+jwt", jwk: publicJwk, ...header })
        .sign(privateKey);
    },
  };
}
