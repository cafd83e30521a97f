/**
 * What agents prove themselves with: one way to hold a JWT against an agent's public keys, for its assertions and for
 * its request objects; another for assertions made with a secret, which never meet: neither takes the algorithms of the
 * other. A header that wants something understood which is not (`crit`) is refused. A key is imported once and kept as
 * long as it is in use.
 */
import type { X509Certificate } from "node:crypto";
import { errors, type JWTHeaderParameters, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { isOneOf } from "../client/certificate.ts";
import { type Agent, secretAlgorithms, signatureAlgorithms } from "../client/client.ts";
import type { Seal } from "../operations/secret.ts";
import { createKeySet, type KeySet } from "./key-set.ts";
import type { PublishedKeys } from "./published-key.ts";
import { Recent } from "./recent.ts";

/**
 * `malformed`: no JWT, or signed in a way that is not accepted. `unknown_key`: none of the agent's keys is the one named,
 * or fits the algorithm. `forged`: by none of its keys. `expired`, and `claims`: signed by the agent, and not good.
 * `unreachable`: its keys cannot be had from where it publishes them.
 */
export type JwtRefusal = "malformed" | "unknown_key" | "forged" | "expired" | "claims" | "unreachable";

export type VerifiedJwt = { readonly payload: JWTPayload; readonly protectedHeader: JWTHeaderParameters };
/** `claim` is the one that is missing or wrong. */
export type RefusedJwt = { readonly refused: JwtRefusal; readonly claim?: string };

export type AgentKeys = {
  /** The time of claims is the server's; whose the JWT must be, for whom and of which algorithm, the caller says. */
  readonly verify: (
    agent: Pick<Agent, "keys">,
    jwt: string,
    wanted: Wanted,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** The same for `client_secret_jwt`. */
  readonly verifyBySecret: (
    sealedSecret: string,
    jwt: string,
    wanted: Wanted,
  ) => Promise<VerifiedJwt | RefusedJwt>;
  /** Whether this is the certificate of one of the agent's keys. */
  readonly includes: (agent: Pick<Agent, "keys">, certificate: X509Certificate) => Promise<boolean>;
};

export type Wanted = Omit<JWTVerifyOptions, "crit" | "currentDate">;

/** Agents whose keys are kept imported. More than that take turns, and only cost more. */
const mostAgents = 1000;

/** `now` is the store's clock, in milliseconds since the epoch; `secrets` opens what agents' secrets are sealed with. */
export function createAgentKeys(
  now: () => number,
  secrets: Pick<Seal, "open">,
  published: PublishedKeys,
): AgentKeys {
  // By what the keys are, and not by whose: an agent that is registered anew has no past.
  const imported = new Recent<KeySet>(mostAgents);
  const opened = new Recent<Promise<CryptoKey>>(mostAgents);

  async function openSecret(sealed: string): Promise<CryptoKey> {
    const secret = new TextEncoder().encode(await secrets.open(sealed));
    return await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  }

  function registered(keys: Agent["keys"]): KeySet {
    const jwks = keys?.from === "registration" ? keys.jwks : [];
    return imported.get(JSON.stringify(jwks), () => createKeySet(jwks));
  }

  return {
    verify: async ({ keys }, jwt, wanted) => {
      const options = { algorithms: [...signatureAlgorithms], ...wanted, currentDate: new Date(now()) };
      if (keys?.from !== "uri") return await verify(registered(keys), jwt, options);
      const set = await published.read(keys.uri);
      if (!set) return { refused: "unreachable" };
      const answer = await verify(set, jwt, options);
      if (!("refused" in answer) || !mayBeNewer.includes(answer.refused)) return answer;
      const newer = await published.renew(keys.uri, set);
      return newer && newer !== set ? await verify(newer, jwt, options) : answer;
    },
    verifyBySecret: async (sealedSecret, jwt, wanted) => {
      const secret = await opened.get(sealedSecret, () => openSecret(sealedSecret));
      try {
        return await jwtVerify(jwt, secret, {
          ...wanted,
          algorithms: [...secretAlgorithms],
          currentDate: new Date(now()),
        });
      } catch (error) {
        return refusal(error);
      }
    },
    includes: async ({ keys }, certificate) => {
      if (keys?.from !== "uri") return isOneOf(certificate, registered(keys).jwks);
      const set = await published.read(keys.uri);
      if (!set) return false;
      if (isOneOf(certificate, set.jwks)) return true;
      const newer = await published.renew(keys.uri, set);
      return newer !== undefined && newer !== set && isOneOf(certificate, newer.jwks);
    },
  };
}

/** By a key that the agent has begun to use since its keys were read, it looks like this. */
const mayBeNewer: readonly JwtRefusal[] = ["unknown_key", "forged"];

async function verify(
  { find }: KeySet,
  jwt: string,
  options: JWTVerifyOptions,
): Promise<VerifiedJwt | RefusedJwt> {
  try {
    return await jwtVerify(jwt, find, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return refusal(error);
    // Clients that name no key are common, and during a change of keys there are two.
    for await (const key of error)
      try {
        return await jwtVerify(jwt, key, options);
      } catch (other) {
        if (!(other instanceof errors.JWSSignatureVerificationFailed)) return refusal(other);
      }
    return { refused: "forged" };
  }
}

/** Whatever fails here fails over what the agent sent or registered, and is no fault of the server's. */
function refusal(error: unknown): RefusedJwt {
  if (error instanceof errors.JWTExpired) return { refused: "expired", claim: error.claim };
  if (error instanceof errors.JWTClaimValidationFailed) return { refused: "claims", claim: error.claim };
  if (error instanceof errors.JWSSignatureVerificationFailed) return { refused: "forged" };
  if (error instanceof errors.JWKSNoMatchingKey) return { refused: "unknown_key" };
  return { refused: "malformed" };
}
