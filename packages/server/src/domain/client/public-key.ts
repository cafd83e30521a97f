/** A client's public keys as it registers them (RFC 7517): read strictly, because whatever they verify is believed. */
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { isObject, type Json, type JsonObject } from "@countersign/protocol";
import { parseCertificate } from "./certificate.ts";
import type { SignatureAlgorithm } from "./client.ts";

/** More than one agent rotates through. */
const maxKeys = 20;
/** RFC 7518 §3.3: 2048 bits at least. */
const minModulusBits = 2048;
/** Parameters of RFC 7518 §6.2.2, §6.3.2 and §6.4, which only an owner of the key should have. */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/** Which keys an algorithm takes (RFC 7518 §6, RFC 8037 §2). */
const keyTypes: Readonly<Record<SignatureAlgorithm, { readonly kty: string; readonly crv?: string }>> = {
  ES256: { kty: "EC", crv: "P-256" },
  PS256: { kty: "RSA" },
  RS256: { kty: "RSA" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
};
const knownTypes = ["EC", "RSA", "OKP"];

/** The keys of a JWK Set that can be understood, or why the set is refused. Those of other types are left out (RFC 7517 §5). */
export function parseJwks(jwks: Json): { readonly keys: readonly JsonObject[] } | { readonly why: string } {
  const jwkList = isObject(jwks) ? jwks.keys : undefined;
  if (!Array.isArray(jwkList) || !jwkList.every(isObject))
    return { why: 'this is no JWK Set, which looks like {"keys":[{"kty":"EC",...}]}' };
  if (jwkList.length > maxKeys) return { why: `this JWK Set holds more than ${maxKeys} keys` };
  if (jwkList.some((jwk) => jwk.kty === "oct" || privateMembers.some((member) => member in jwk)))
    return { why: "this JWK Set holds a private or symmetric key; only public keys belong here" };
  const keys = jwkList.filter(({ kty }) => knownTypes.includes(String(kty)));
  if (keys.length === 0) return { why: "this JWK Set holds no key that can be used here" };
  for (const jwk of keys) {
    const why = findKeyFault(jwk);
    if (why !== undefined) return { why };
  }
  return { keys };
}

/** Whether signatures by this algorithm can be verified with this key, as it is meant to be used (RFC 7517 §4.2 to §4.4). */
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
    : "a certificate (x5c) is not that of its key";
}

/** RFC 7517 §4.7: the first certificate is that of the key. Written in the one way of base64 that it is compared in. */
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
