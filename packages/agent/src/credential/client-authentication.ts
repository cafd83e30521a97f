import { type Clock, encodeBasicAuthorization, InvalidArgumentError } from "@countersign/protocol/client";
import { createSecretSigner, createSigner, type PrivateKey, type Sign } from "./signing-key.ts";

/** The issuer, the client id, and the secret or key of the agent. Error messages never contain the secret or key. */
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
  /** The agent authenticates with the client certificate that `fetch` presents (RFC 8705 §2). */
  | { readonly clientSecret?: undefined; readonly privateKey?: undefined }
);

export type ClientAuthenticationMethod =
  | "client_secret_basic"
  | "client_secret_post"
  | "client_secret_jwt"
  | "private_key_jwt"
  | "tls_client_auth"
  | "self_signed_tls_client_auth";

/** The client authentication of one request. A client assertion is valid once, so it is created for each request. */
export type ClientAuthentication = {
  readonly headers: Record<string, string>;
  readonly form: Record<string, string>;
};
export type Authenticate = () => Promise<ClientAuthentication>;

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const assertionLifetimeSeconds = 60;

/**
 * Creates the client authentication of the agent. Throws an InvalidArgumentError if the client id or the credential that the
 * method needs is missing; the returned function rejects with an AuthenticationError if the key cannot sign.
 */
export function createClientAuthentication(
  credentials: Credentials,
  clock: Clock,
  method: ClientAuthenticationMethod = credentials.privateKey ? "private_key_jwt" : "client_secret_basic",
): Authenticate {
  const { clientId, clientSecret, privateKey } = credentials;
  if (!clientId) throw new InvalidArgumentError("clientId is missing");
  if (usesCertificate(method)) return async () => ({ headers: {}, form: { client_id: clientId } });
  if (method === "private_key_jwt") {
    if (!privateKey) throw new InvalidArgumentError("private_key_jwt requires privateKey");
    return createAssertionAuthentication(credentials, clock, createSigner(privateKey));
  }
  if (!clientSecret)
    throw new InvalidArgumentError(
      privateKey
        ? `${method} requires clientSecret`
        : "clientSecret or privateKey is missing; for a certificate, set clientAuthentication: tls_client_auth",
    );
  if (method === "client_secret_jwt")
    return createAssertionAuthentication(credentials, clock, createSecretSigner(clientSecret));
  if (method === "client_secret_post")
    return async () => ({ headers: {}, form: { client_id: clientId, client_secret: clientSecret } });
  const headers = { authorization: encodeBasicAuthorization(clientId, clientSecret) };
  return async () => ({ headers, form: {} });
}

/** Returns true if the method authenticates the client by its certificate (RFC 8705 §2). */
export function usesCertificate(method: ClientAuthenticationMethod | undefined): boolean {
  return method === "tls_client_auth" || method === "self_signed_tls_client_auth";
}

function createAssertionAuthentication(
  { issuer, clientId }: Credentials,
  clock: Clock,
  sign: Sign,
): Authenticate {
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
