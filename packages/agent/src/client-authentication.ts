import { randomUUID } from "node:crypto";
import { importJWK, type JWK, SignJWT } from "jose";

/**
 * Who the agent is to the server. The secret or key stays inside; no error message and no log of an agent holds
 * it.
 */
export type Credentials = {
  /** The server's issuer URL, exactly as its metadata spells it. */
  readonly issuer: string;
  readonly clientId: string;
} & (
  | { readonly clientSecret: string; readonly privateKey?: undefined }
  | {
      /** A private key whose public half is registered with the server (`private_key_jwt`, RFC 7523). */
      readonly privateKey: { readonly jwk: JWK; readonly kid?: string };
      readonly clientSecret?: undefined;
    }
);

export type ClientAuthenticationMethod = "client_secret_basic" | "client_secret_post";

/** What proves, in one request, who is calling. Made anew for each: an assertion is good once. */
export type Proof = { readonly headers: Record<string, string>; readonly form: Record<string, string> };
export type Authenticate = (issuer: string) => Promise<Proof>;

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const assertionLifetimeSeconds = 60;

export function clientAuthentication(
  credentials: Credentials,
  method: ClientAuthenticationMethod = "client_secret_basic",
): Authenticate {
  const { clientId, clientSecret, privateKey } = credentials;
  if (privateKey) return byAssertion(clientId, privateKey);
  if (!clientSecret) throw new TypeError("an agent needs its clientSecret or its privateKey");
  if (method === "client_secret_post")
    return async () => ({ headers: {}, form: { client_id: clientId, client_secret: clientSecret } });
  // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
  const pair = `${formEncode(clientId)}:${formEncode(clientSecret)}`;
  const authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
  return async () => ({ headers: { authorization }, form: {} });
}

function byAssertion(clientId: string, { jwk, kid = jwk.kid }: { jwk: JWK; kid?: string }): Authenticate {
  const alg = jwk.alg ?? algorithmFor(jwk);
  let key: ReturnType<typeof importJWK> | undefined;
  return async (issuer) => {
    key ??= importJWK(jwk, alg);
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg, ...(kid && { kid }) })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(issuer)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime(`${assertionLifetimeSeconds}s`)
      .sign(await key);
    return {
      headers: {},
      form: { client_id: clientId, client_assertion_type: assertionType, client_assertion: assertion },
    };
  };
}

function algorithmFor({ kty, crv }: JWK): string {
  if (kty === "EC" && crv === "P-256") return "ES256";
  if (kty === "OKP" && crv === "Ed25519") return "EdDSA";
  if (kty === "RSA") return "PS256";
  throw new TypeError("privateKey.jwk must be a P-256, Ed25519 or RSA key, or name its alg");
}

function formEncode(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
