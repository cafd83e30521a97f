/** A DPoP key of an agent (RFC 9449) and proofs signed with it, with any claim or header replaced. */
import { hash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

export type ProofKey = {
  /** The JWK thumbprint, as in `cnf.jkt`. */
  readonly jkt: string;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
  readonly prove: (said: ProofClaims, header?: Readonly<Record<string, unknown>>) => Promise<string>;
};

/** Claims of a proof: `now` in milliseconds, `token` to compute `ath` from. Undefined claims are omitted. */
export type ProofClaims = {
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
