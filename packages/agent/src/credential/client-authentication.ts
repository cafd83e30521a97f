import { type Clock, encodeBasicAuthorization, InvalidArgumentError } from "@countersign/protocol/client";
import { createSecretSigner, createSigner, type PrivateKey, type Sign } from "./signing-key.ts";

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
      readonly privateKey: PrivateKey;
      readonly clientSecret?: undefined;
    }
  /** The certificate that `fetch` presents is what proves the agent (RFC 8705 §2). */
  | { readonly clientSecret?: undefined; readonly privateKey?: undefined }
);

export type ClientAuthenticationMethod =
  | "client_secret_basic"
  | "client_secret_post"
  | "client_secret_jwt"
  | "private_key_jwt"
  | "tls_client_auth"
  | "self_signed_tls_client_auth";

/** What proves, in one request, who is calling. Made anew for each: an assertion is good once. */
export type AuthenticationProof = {
  readonly headers: Record<string, string>;
  readonly form: Record<string, string>;
};
export type Authenticate = () => Promise<AuthenticationProof>;

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const assertionLifetimeSeconds = 60;

export function createClientAuthentication(
  credentials: Credentials,
  clock: Clock,
  method: ClientAuthenticationMethod = credentials.privateKey ? "private_key_jwt" : "client_secret_basic",
): Authenticate {
  const { clientId, clientSecret, privateKey } = credentials;
  if (!clientId) throw new InvalidArgumentError("clientId is missing");
  if (isByCertificate(method)) return async () => ({ headers: {}, form: { client_id: clientId } });
  if (method === "private_key_jwt") {
    if (!privateKey) throw new InvalidArgumentError("private_key_jwt needs the agent's privateKey");
    return byAssertion(credentials, clock, createSigner(privateKey));
  }
  if (!clientSecret)
    throw new InvalidArgumentError(
      privateKey
        ? `${method} needs the agent's clientSecret`
        : "an agent needs its clientSecret or its privateKey, or a certificate: tls_client_auth",
    );
  if (method === "client_secret_jwt")
    return byAssertion(credentials, clock, createSecretSigner(clientSecret));
  if (method === "client_secret_post")
    return async () => ({ headers: {}, form: { client_id: clientId, client_secret: clientSecret } });
  const headers = { authorization: encodeBasicAuthorization(clientId, clientSecret) };
  return async () => ({ headers, form: {} });
}

export function isByCertificate(method: ClientAuthenticationMethod | undefined): boolean {
  return method === "tls_client_auth" || method === "self_signed_tls_client_auth";
}

function byAssertion({ issuer, clientId }: Credentials, clock: Clock, sign: Sign): Authenticate {
  return async () => {
    const iat = Math.floor(clock.now() / 1000);
    const assertion = await sign({
      iss: clientId,
      sub: clientId,
      aud: issuer,
      jti: crypto.randomUUID(),
      iat,
      exp: iat + assertionLifetimeSeconds,
    });
    return {
      headers: {},
      form: { client_id: clientId, client_assertion_type: assertionType, client_assertion: assertion },
    };
  };
}
