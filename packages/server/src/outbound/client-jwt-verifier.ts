/**
 * What agents prove themselves with: one way to hold a JWT against an agent's public keys, for its assertions and for
 * its request objects; another for assertions made with a secret, which never meet: neither takes the algorithms of the
 * other. A header that wants something understood which is not (`crit`) is refused. A key is imported once and kept as
 * long as it is in use.
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
 * `malformed`: no JWT, or signed in a way that is not accepted. `unknown_key`: none of the agent's keys is the one named,
 * or fits the algorithm. `forged`: by none of its keys. `expired`, and `claims`: signed by the agent, and not good.
 * `unreachable`: its keys cannot be had from where it publishes them.
 */
export type JwtRefusal = "malformed" | "unknown_key" | "forged" | "expired" | "claims" | "unreachable";

export type VerifiedJwt = { readonly payload: JWTPayload; readonly protectedHeader: JWTHeaderParameters };
/** `claim` is the one that is missing or wrong. */
export type RefusedJwt = { readonly refused: JwtRefusal; readonly claim?: string };

export type ClientJwtVerifier = {
  /** The time of claims is the server's; whose the JWT must be, for whom and of which algorithm, the caller says. */
  readonly verify: (
    agent: Pick<Agent, "keys">,
    jwt: string,
    requirements: JwtRequirements,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** The same for `client_secret_jwt`. */
  readonly verifyWithSecret: (
    sealedSecret: string,
    jwt: string,
    requirements: JwtRequirements,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** Whether this is the certificate of one of the agent's keys. */
  readonly hasCertificate: (agent: Pick<Agent, "keys">, certificate: X509Certificate) => Promise<boolean>;
};

export type JwtRequirements = Omit<JWTVerifyOptions, "crit" | "currentDate">;

/** Agents whose keys are kept imported. More than that take turns, and only cost more. */
const maxCachedAgents = 1000;

/** `now` is the store's clock, in milliseconds since the epoch; `secrets` opens what agents' secrets are sealed with. */
export function createClientJwtVerifier(
  now: () => number,
  secrets: Pick<Seal, "open">,
  jwksCache: JwksCache,
): ClientJwtVerifier {
  // By what the keys are, and not by whose: an agent that is registered anew has no past.
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

/** By a key that the agent has begun to use since its keys were read, it looks like this. */
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
    // Clients that name no key are common, and during a change of keys there are two.
    for await (const key of error)
      try {
        return await jwtVerify(jwt, key, options);
      } catch (other) {
        if (!(other instanceof errors.JWSSignatureVerificationFailed)) return toRefusal(other);
      }
    return { refused: "forged" };
  }
}

/** Whatever fails here fails over what the agent sent or registered, and is no fault of the server's. */
function toRefusal(error: unknown): RefusedJwt {
  if (error instanceof errors.JWTExpired) return { refused: "expired", claim: error.claim };
  if (error instanceof errors.JWTClaimValidationFailed) return { refused: "claims", claim: error.claim };
  if (error instanceof errors.JWSSignatureVerificationFailed) return { refused: "forged" };
  if (error instanceof errors.JWKSNoMatchingKey) return { refused: "unknown_key" };
  return { refused: "malformed" };
}
