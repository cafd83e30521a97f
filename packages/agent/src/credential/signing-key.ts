/** Signs JWTs with the agent's key: client assertions and request objects. Keys are never printed or sent. */
import { AuthenticationError, InvalidArgumentError } from "@countersign/protocol/client";
import { importJWK, importPKCS8, type JWK, type JWTPayload, SignJWT } from "jose";

/** Algorithms of client assertions and request objects. */
export const signingAlgorithms = ["ES256", "PS256", "RS256", "EdDSA"] as const;
/** An algorithm of client assertions and request objects. */
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

/**
 * A private key whose public key is registered with the server. `algorithm` is the registered algorithm. Default: that of
 * the JWK or CryptoKey; PS256 for an RSA key as JWK without `alg`.
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
  /** PKCS #8 in PEM, as `openssl genpkey` writes it. */
  | {
      readonly pem: string;
      readonly algorithm: SigningAlgorithm;
      readonly jwk?: undefined;
      readonly key?: undefined;
    }
);

/** Signs claims as a JWT, with an optional `typ` header. Rejects with an AuthenticationError if the key cannot sign. */
export type Sign = (claims: JWTPayload, typ?: string) => Promise<string>;

/** Creates a signer with a private key, imported when first used. Throws an InvalidArgumentError as `getAlgorithm`. */
export function createSigner(key: PrivateKey): Sign {
  const alg = getAlgorithm(key);
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

/** Replaces a rejection by an AuthenticationError: the key cannot be imported, or cannot sign. */
export function requireUsableKey<T>(signed: Promise<T>): Promise<T> {
  return signed.catch((cause) => {
    throw new AuthenticationError("the agent's key cannot sign", { cause });
  });
}

/** Creates a signer with the client secret (`client_secret_jwt`): HS256. */
export function createSecretSigner(secret: string): Sign {
  const key = new TextEncoder().encode(secret);
  return (claims) => requireUsableKey(new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(key));
}

/** Returns the algorithm of a key. Throws an InvalidArgumentError if its kind cannot sign and no algorithm is given. */
export function getAlgorithm({ algorithm, jwk, key }: Partial<PrivateKey>): string {
  const found = algorithm ?? (jwk ? getJwkAlgorithm(jwk) : key && getCryptoKeyAlgorithm(key));
  if (found) return found;
  throw new InvalidArgumentError("a private key must be a P-256, Ed25519 or RSA key, or have an algorithm");
}

function getJwkAlgorithm({ alg, kty, crv }: JWK): string | undefined {
  if (kty === "oct") return undefined;
  if (alg) return alg;
  if (kty === "EC" && crv === "P-256") return "ES256";
  if (kty === "OKP" && crv === "Ed25519") return "EdDSA";
  return kty === "RSA" ? "PS256" : undefined;
}

function getCryptoKeyAlgorithm({ algorithm }: CryptoKey): string | undefined {
  const { name, namedCurve, hash } = (algorithm ?? {}) as EcKeyAlgorithm & RsaHashedKeyAlgorithm;
  if (name === "ECDSA" && namedCurve === "P-256") return "ES256";
  if (name === "Ed25519") return "EdDSA";
  if (name === "RSA-PSS" && hash.name === "SHA-256") return "PS256";
  return name === "RSASSA-PKCS1-v1_5" && hash.name === "SHA-256" ? "RS256" : undefined;
}
