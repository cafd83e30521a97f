/**
 * Validates a pushed result (CIBA §10.3.1): its ID token is signed by the server, recent, for this agent, and names this
 * request and this access token. A result that fails is not used.
 */
import { clockToleranceSeconds, type Json, type JsonObject } from "@countersign/protocol";
import {
  type CountersignError,
  isSameUrl,
  MetadataError,
  ResponseError,
  toDiscoveryError,
} from "@countersign/protocol/client";
import {
  base64url,
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
} from "jose";
import type { Connection } from "../connection.ts";
import { parseToken } from "../token/token-response.ts";

/** `unknown`: the server's keys cannot be fetched now. */
export type PushResult =
  | "genuine"
  | { readonly refused: CountersignError }
  | { readonly unknown: CountersignError };
export type CheckPush = (pushed: JsonObject) => Promise<PushResult>;

const authReqIdClaim = "urn:openid:params:jwt:claim:auth_req_id";
const refreshHashClaim = "urn:openid:params:jwt:claim:rt_hash";
const asymmetric = /^(?:(?:ES|PS|RS)(?:256|384|512)|EdDSA|Ed25519)$/;
/** Twice the usual clock skew: a push cannot be requested again. */
const toleranceSeconds = 2 * clockToleranceSeconds;
const maxAgeSeconds = 600;

/** Creates the validator. It fetches and caches the server's keys; it never rejects. */
export function createPushCheck(connection: Connection, fetch: typeof globalThis.fetch): CheckPush {
  const { issuer, clientId, clock } = connection;
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined;

  return async (pushed) => {
    const { id_token: idToken } = pushed;
    let header: ReturnType<typeof decodeProtectedHeader>;
    try {
      header = decodeProtectedHeader(`${idToken}`);
    } catch (cause) {
      return refused("it has no ID token", cause);
    }
    let key: CryptoKey;
    try {
      const metadata = await connection.metadata();
      if ("failure" in metadata) throw metadata.failure;
      const { jwksUri, idTokenAlgorithms } = metadata;
      // OpenID Connect Core §15.1: RS256 is the default.
      const algorithms = idTokenAlgorithms.length > 0 ? idTokenAlgorithms : ["RS256"];
      const { alg = "" } = header;
      if (!asymmetric.test(alg) || !algorithms.includes(alg))
        return refused(`its ID token is signed with ${JSON.stringify(alg)}`);
      if (jwksUri === undefined) throw new MetadataError(`the metadata of ${issuer} has no jwks_uri`);
      keys ??= createRemoteJWKSet(new URL(jwksUri), { [customFetch]: fetch });
      key = await keys({ ...header, alg });
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey)
        return {
          unknown: new ResponseError("the ID token of a push is signed with an unknown key", { cause }),
        };
      return { unknown: toDiscoveryError("a push cannot be validated: no keys of the server", cause) };
    }
    try {
      const { token } = parseToken(pushed, "Bearer");
      const { payload } = await jwtVerify(`${idToken}`, key, {
        clockTolerance: toleranceSeconds,
        maxTokenAge: maxAgeSeconds,
        requiredClaims: ["iss", "sub", "aud", "exp", "iat"],
        currentDate: new Date(clock.now()),
      });
      const expected = {
        at_hash: await halfHash(token, header.alg),
        [authReqIdClaim]: pushed.auth_req_id,
        [refreshHashClaim]: await halfHash(pushed.refresh_token, header.alg),
      };
      const mismatch = claimMismatch(payload, expected, { issuer, clientId });
      return mismatch === undefined ? "genuine" : refused(`the ${mismatch} of its ID token does not match`);
    } catch (cause) {
      return refused("its ID token or access token is invalid", cause);
    }
  };
}

/** Returns the name of the first claim that does not match, or undefined. */
function claimMismatch(
  claims: JWTPayload,
  expected: Readonly<Record<string, unknown>>,
  { issuer, clientId }: Pick<Connection, "issuer" | "clientId">,
): string | undefined {
  if (!isSameUrl(`${claims.iss}`, issuer)) return "iss";
  // No other audience: another recipient of the same token could replay it.
  const [audience, ...others] = [claims.aud].flat();
  if (audience !== clientId || others.length > 0) return "aud";
  return Object.keys(expected).find((name) => claims[name] !== expected[name]);
}

/**
 * Returns the left half of a token's hash, with the hash function of the signature algorithm (OpenID Connect Core §3.1.3.6)
 * or SHA-512 for Ed25519. Returns undefined without a token.
 */
async function halfHash(token: Json | undefined, alg = ""): Promise<string | undefined> {
  if (token === undefined) return undefined;
  if (typeof token !== "string") throw new ResponseError("a token is not a string");
  const bits = /(?:256|384|512)$/.exec(alg)?.[0] ?? "512";
  const digest = await crypto.subtle.digest(`SHA-${bits}`, new TextEncoder().encode(token));
  return base64url.encode(new Uint8Array(digest.slice(0, digest.byteLength / 2)));
}

function refused(why: string, cause?: unknown): PushResult {
  return { refused: new ResponseError(`a push was rejected: ${why}`, { cause }) };
}
