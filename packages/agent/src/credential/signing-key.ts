/** Keys that an agent signs with: its client assertions, its signed asks. Nothing here is ever printed or sent. */
import { AuthenticationError, InvalidArgumentError } from "@countersign/protocol/client";
import { importJWK, importPKCS8, type JWK, type JWTPayload, SignJWT } from "jose";

export const signingAlgorithms = ["ES256", "PS256", "RS256", "EdDSA"] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

/**
 * A private key whose public half is registered with the server. `algorithm` is what the agent is registered for; a
 * JWK or a CryptoKey mostly says it by itself, and PS256 is taken for an RSA key that does not.
 */
export type PrivateKey = { readonly kid?: string } & (
  | {
      readonly jwk: JWK;
      readonly algorithm?: SigningAlgorithm;
      readonly pem?: undefined;
      readonly key?: undefined;
    }
  | {
      readonly key: CryptoKey;
      readonly algorithm?: SigningAlgorithm;
      readonly jwk?: undefined;
      readonly pem?: undefined;
    }
  /** PKCS #8, as `openssl genpkey` writes it. */
  | {
      readonly pem: string;
      readonly algorithm: SigningAlgorithm;
      readonly jwk?: undefined;
      readonly key?: undefined;
    }
);

/** Signs claims as a JWT; `typ` says what the JWT is, where its reader wants to know. */
export type Sign = (claims: JWTPayload, typ?: string) => Promise<string>;

/** Signs with a private key. The key is read when it is first needed. */
export function createSigner(key: PrivateKey): Sign {
  const alg = algorithmOf(key);
  const kid = key.kid ?? key.jwk?.kid;
  let ready: Promise<CryptoKey | Uint8Array> | undefined;
  return async (claims, typ) => {
    ready ??= key.key
      ? Promise.resolve(key.key)
      : key.jwk
        ? importJWK(key.jwk, alg)
        : importPKCS8(key.pem, alg);
    const jwt = new SignJWT(claims).setProtectedHeader({ alg, ...(kid && { kid }), ...(typ && { typ }) });
    return requireUsableKey(ready.then((loaded) => jwt.sign(loaded)));
  };
}

/** Replaces a rejection by an AuthenticationError: the key cannot be read, or cannot sign. */
export function requireUsableKey<T>(signed: Promise<T>): Promise<T> {
  return signed.catch((cause) => {
    throw new AuthenticationError("the agent's key cannot sign", { cause });
  });
}

/** Signs with a secret that the server knows as well (`client_secret_jwt`). */
export function createSecretSigner(secret: string): Sign {
  const key = new TextEncoder().encode(secret);
  return (claims) => requireUsableKey(new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(key));
}

export function algorithmOf({ algorithm, jwk, key }: Partial<PrivateKey>): string {
  const found = algorithm ?? (jwk ? algorithmOfJwk(jwk) : key && algorithmOfKey(key));
  if (found) return found;
  throw new InvalidArgumentError("a private key must be a P-256, Ed25519 or RSA key, or name its algorithm");
}

function algorithmOfJwk({ alg, kty, crv }: JWK): string | undefined {
  if (kty === "oct") return undefined;
  if (alg) return alg;
  if (kty === "EC" && crv === "P-256") return "ES256";
  if (kty === "OKP" && crv === "Ed25519") return "EdDSA";
  return kty === "RSA" ? "PS256" : undefined;
}

function algorithmOfKey({ algorithm }: CryptoKey): string | undefined {
  const { name, namedCurve, hash } = (algorithm ?? {}) as EcKeyAlgorithm & RsaHashedKeyAlgorithm;
  if (name === "ECDSA" && namedCurve === "P-256") return "ES256";
  if (name === "Ed25519") return "EdDSA";
  if (name === "RSA-PSS" && hash.name === "SHA-256") return "PS256";
  return name === "RSASSA-PKCS1-v1_5" && hash.name === "SHA-256" ? "RS256" : undefined;
}
