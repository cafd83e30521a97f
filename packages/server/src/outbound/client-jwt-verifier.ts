/**
 * Verifies JWTs of agents: client assertions and request objects against public keys, and assertions of `client_secret_jwt`
 * against a secret. The two accept disjoint algorithms, so a public key is never used as an HMAC secret. JWTs with an
 * unsupported `crit` header are refused. Imported keys are cached.
 */
import type { X509Certificate } from "node:crypto";
import { errors, type JWTHeaderParameters, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { createKeySet, type KeySet } from "../crypto/key-set.ts";
import { LruCache } from "../crypto/lru-cache.ts";
import type { Seal } from "../crypto/secret.ts";
import { matchesAnyKey } from "../domain/client/certificate.ts";
import { type Agent, secretAlgorithms, signatureAlgorithms } from "../domain/client/client.ts";
import type { JwksCache } from "./jwks-cache.ts";

/**
 * `malformed`: not a JWT, or an algorithm that is not accepted. `unknown_key`: no key of the agent matches `kid` and
 * algorithm. `forged`: the signature matches none of the keys. `expired`, `claims`: signed by the agent, with expired or
 * invalid claims. `unreachable`: the keys could not be fetched from `jwks_uri`.
 */
export type JwtRefusal = "malformed" | "unknown_key" | "forged" | "expired" | "claims" | "unreachable";

export type VerifiedJwt = { readonly payload: JWTPayload; readonly protectedHeader: JWTHeaderParameters };
/** `claim` is the missing or invalid claim, if one is the reason. */
export type RefusedJwt = { readonly refused: JwtRefusal; readonly claim?: string };

export type ClientJwtVerifier = {
  /** Verifies signature and claims at the server's time. `requirements` sets issuer, audience and algorithms. */
  readonly verify: (
    agent: Pick<Agent, "keys">,
    jwt: string,
    requirements: JwtRequirements,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** Verifies a JWT of `client_secret_jwt`. */
  readonly verifyWithSecret: (
    sealedSecret: string,
    jwt: string,
    requirements: JwtRequirements,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** Returns true if the certificate belongs to one of the agent's keys. */
  readonly hasCertificate: (agent: Pick<Agent, "keys">, certificate: X509Certificate) => Promise<boolean>;
};

export type JwtRequirements = Omit<JWTVerifyOptions, "crit" | "currentDate">;

/** Capacity of each cache of imported keys. Beyond it, keys are imported again. */
const maxCachedAgents = 1000;

/** `now` is the store's clock, in milliseconds since the epoch; `secrets` decrypts the sealed secrets of agents. */
export function createClientJwtVerifier(
  now: () => number,
  secrets: Pick<Seal, "open">,
  jwksCache: JwksCache,
): ClientJwtVerifier {
  // Cached by the keys' content, not by agent id, so a changed registration never uses old keys.
  const keySets = new LruCache<KeySet>(maxCachedAgents);
  const secretKeys = new LruCache<Promise<CryptoKey>>(maxCachedAgents);

  async function importSecret(sealed: string): Promise<CryptoKey> {
    const secret = new TextEncoder().encode(await secrets.open(sealed));
    return await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  }

  function registeredKeys(keys: Agent["keys"]): KeySet {
    const jwks = keys?.from === "registration" ? keys.jwks : [];
    return keySets.get(JSON.stringify(jwks), () => createKeySet(jwks));
  }

  return {
    verify: async ({ keys }, jwt, requirements) => {
      const options = { algorithms: [...signatureAlgorithms], ...requirements, currentDate: new Date(now()) };
      if (keys?.from !== "uri") return await verify(registeredKeys(keys), jwt, options);
      const set = await jwksCache.read(keys.uri);
      if (!set) return { refused: "unreachable" };
      const result = await verify(set, jwt, options);
      if (!("refused" in result) || !retryableRefusals.includes(result.refused)) return result;
      const refreshed = await jwksCache.refresh(keys.uri, set);
      return refreshed && refreshed !== set ? await verify(refreshed, jwt, options) : result;
    },
    verifyWithSecret: async (sealedSecret, jwt, requirements) => {
      const secret = await secretKeys.get(sealedSecret, () => importSecret(sealedSecret));
      try {
        return await jwtVerify(jwt, secret, {
          ...requirements,
          algorithms: [...secretAlgorithms],
          currentDate: new Date(now()),
        });
      } catch (error) {
        return toRefusal(error);
      }
    },
    hasCertificate: async ({ keys }, certificate) => {
      if (keys?.from !== "uri") return matchesAnyKey(certificate, registeredKeys(keys).jwks);
      const set = await jwksCache.read(keys.uri);
      if (!set) return false;
      if (matchesAnyKey(certificate, set.jwks)) return true;
      const refreshed = await jwksCache.refresh(keys.uri, set);
      return refreshed !== undefined && refreshed !== set && matchesAnyKey(certificate, refreshed.jwks);
    },
  };
}

/** Refusals that a key published after the last fetch would explain. */
const retryableRefusals: readonly JwtRefusal[] = ["unknown_key", "forged"];

async function verify(
  { find }: KeySet,
  jwt: string,
  options: JWTVerifyOptions,
): Promise<VerifiedJwt | RefusedJwt> {
  try {
    return await jwtVerify(jwt, find, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return toRefusal(error);
    // Without a `kid`, several keys match during a key rotation: try each.
    for await (const key of error)
      try {
        return await jwtVerify(jwt, key, options);
      } catch (other) {
        if (!(other instanceof errors.JWSSignatureVerificationFailed)) return toRefusal(other);
      }
    return { refused: "forged" };
  }
}

/** Maps an error of `jose` to a refusal. Every error here is caused by the agent's JWT or keys, not by the server. */
function toRefusal(error: unknown): RefusedJwt {
  if (error instanceof errors.JWTExpired) return { refused: "expired", claim: error.claim };
  if (error instanceof errors.JWTClaimValidationFailed) return { refused: "claims", claim: error.claim };
  if (error instanceof errors.JWSSignatureVerificationFailed) return { refused: "forged" };
  if (error instanceof errors.JWKSNoMatchingKey) return { refused: "unknown_key" };
  return { refused: "malformed" };
}
