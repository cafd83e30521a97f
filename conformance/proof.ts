/**
 * Creates client authentication, signed requests and DPoP proofs as the specifications define them, without an SDK, so that a
 * scenario can change one member at a time.
 */
import { randomUUID } from "node:crypto";
import { importJWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose";
import type { Certificate } from "./call.ts";
import type { Credentials } from "./credential.ts";

/** Form parameters, headers and certificate that authenticate a request. */
export type Proof = {
  readonly form: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly certificate?: Certificate | undefined;
};

export const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Authenticates with the agent's registered method. `changed` replaces claims of an assertion; undefined removes one. */
export async function prove(
  credentials: Credentials,
  audience: string,
  changed: JWTPayload = {},
): Promise<Proof> {
  const { id, method, secret = "", certificate } = credentials;
  const along = { certificate };
  switch (method) {
    case "client_secret_basic":
      return { form: {}, headers: basic(id, secret), ...along };
    case "client_secret_post":
      return { form: { client_id: id, client_secret: secret }, headers: {}, ...along };
    case "client_secret_jwt": {
      const assertion = await sign(assertionClaims(id, audience, changed), new TextEncoder().encode(secret), {
        alg: "HS256",
      });
      return { form: asserted(assertion), headers: {}, ...along };
    }
    case "private_key_jwt":
      return {
        form: asserted(await signAs(credentials, assertionClaims(id, audience, changed))),
        headers: {},
        ...along,
      };
    default:
      return { form: { client_id: id }, headers: {}, ...along };
  }
}

export function basic(id: string, secret: string): { readonly authorization: string } {
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

export function asserted(assertion: string): Readonly<Record<string, string>> {
  return { client_assertion_type: assertionType, client_assertion: assertion };
}

/** Creates a client assertion (RFC 7523 §3). */
export function assertionClaims(id: string, audience: string, changed: JWTPayload = {}): JWTPayload {
  const now = seconds();
  return { iss: id, sub: id, aud: audience, exp: now + 60, iat: now, jti: randomUUID(), ...changed };
}

/** Creates a signed request (CIBA §7.1.1): the request's parameters and the claims of the request object. */
export function requestClaims(
  id: string,
  issuer: string,
  parameters: Readonly<Record<string, unknown>>,
  changed: Readonly<Record<string, unknown>> = {},
): JWTPayload {
  const now = seconds();
  const claims = { iss: id, aud: issuer, exp: now + 300, iat: now, nbf: now, jti: randomUUID() };
  return { ...parameters, ...claims, ...changed };
}

/** Signs with the agent's key. */
export async function signAs(
  { key, algorithm }: Pick<Credentials, "key" | "algorithm">,
  claims: JWTPayload,
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  const alg = header.alg ?? algorithm;
  return await sign(claims, await importJWK({ ...key, alg }, alg), { kid: key.kid, ...header, alg });
}

async function sign(
  claims: JWTPayload,
  key: Parameters<SignJWT["sign"]>[0],
  header: JWTHeaderParameters,
): Promise<string> {
  const given = Object.entries(claims).filter(([, value]) => value !== undefined);
  return await new SignJWT(Object.fromEntries(given)).setProtectedHeader(header).sign(key);
}

export function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
