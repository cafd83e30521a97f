/** Validates a client's JWK Set (RFC 7517). Strict, because signatures by these keys authenticate the client. */
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { isObject, type Json, type JsonObject } from "@countersign/protocol";
import { parseCertificate } from "./certificate.ts";
import type { SignatureAlgorithm } from "./client.ts";

/** Maximum number of keys: enough for any rotation. */
const maxKeys = 20;
/** RFC 7518 §3.3. */
const minModulusBits = 2048;
/** Private and symmetric key parameters (RFC 7518 §6.2.2, §6.3.2 and §6.4). */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/** Key type by algorithm (RFC 7518 §6, RFC 8037 §2). */
const keyTypes: Readonly<Record<SignatureAlgorithm, { readonly kty: string; readonly crv?: string }>> = {
  ES256: { kty: "EC", crv: "P-256" },
  PS256: { kty: "RSA" },
  RS256: { kty: "RSA" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
};
const knownTypes = ["EC", "RSA", "OKP"];

/**
 * Returns the supported keys of a JWK Set, or why the set is refused. Ignores keys of unknown types (RFC 7517 §5). `why` is
 * error text.
 */
export function parseJwks(jwks: Json): { readonly keys: readonly JsonObject[] } | { readonly why: string } {
  const jwkList = isObject(jwks) ? jwks.keys : undefined;
  if (!Array.isArray(jwkList) || !jwkList.every(isObject))
    return { why: 'not a JWK Set; expected {"keys":[{"kty":"EC",...}]}' };
  if (jwkList.length > maxKeys) return { why: `this JWK Set contains more than ${maxKeys} keys` };
  if (jwkList.some((jwk) => jwk.kty === "oct" || privateMembers.some((member) => member in jwk)))
    return { why: "this JWK Set contains a private or symmetric key; only public keys are accepted" };
  const keys = jwkList.filter(({ kty }) => knownTypes.includes(String(kty)));
  if (keys.length === 0) return { why: "this JWK Set contains no key of a supported type" };
  for (const jwk of keys) {
    const why = findKeyFault(jwk);
    if (why !== undefined) return { why };
  }
  return { keys };
}

/**
 * Returns true if this key can verify signatures of this algorithm, and its `use`, `key_ops` and `alg` allow it (RFC 7517
 * §4.2 to §4.4).
 */
export function supportsAlgorithm(jwk: JsonObject, algorithm: SignatureAlgorithm): boolean {
  const { kty, crv } = keyTypes[algorithm];
  const { key_ops: operations } = jwk;
  return (
    jwk.kty === kty &&
    (crv === undefined || jwk.crv === crv) &&
    (jwk.alg === undefined || jwk.alg === algorithm) &&
    (jwk.use === undefined || jwk.use === "sig") &&
    (operations === undefined || (Array.isArray(operations) && operations.includes("verify")))
  );
}

function findKeyFault(jwk: JsonObject): string | undefined {
  const key = parseKey(jwk);
  if (!key) return `a key of type ${String(jwk.kty)} cannot be read`;
  if (key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) < minModulusBits)
    return `an RSA key has fewer than ${minModulusBits} bits`;
  return jwk.x5c === undefined || isCertificateOf(jwk.x5c, key)
    ? undefined
    : "a certificate (x5c) does not contain its key";
}

/**
 * Returns true if the first certificate of `x5c` contains this key (RFC 7517 §4.7). Its base64 must be canonical, as
 * `matchesAnyKey` compares the text.
 */
function isCertificateOf(chain: Json, key: KeyObject): boolean {
  const [first] = Array.isArray(chain) ? chain : [];
  if (typeof first !== "string") return false;
  const certificate = parseCertificate(Buffer.from(first, "base64"));
  return certificate?.raw.toString("base64") === first && certificate.publicKey.equals(key);
}

function parseKey(jwk: JsonObject): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
  } catch {
    return undefined;
  }
}
