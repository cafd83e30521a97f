/**
 * Client authentication of agents and APIs, by the one method that each is registered for (OpenID Connect Core §9,
 * RFC 7523, RFC 8705 §2). Every failure is the same `invalid_client`, so that the response does not reveal whether the
 * client exists.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { hasName, isCurrent, parseCertificate } from "../../domain/client/certificate.ts";
import type { Agent, Api } from "../../domain/client/client.ts";
import type { Store, Versioned } from "../../store/store.ts";
import { anonymousPeer, type ClientCertificate, type TlsPeer } from "../transport/peer.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type AssertionDeps, verifyClientAssertion } from "./client-assertion.ts";
import type { Form } from "./form.ts";
import { readUnverifiedIssuer } from "./jwt.ts";
import { OAuthError } from "./oauth-error.ts";

export type AuthenticationDeps = AssertionDeps;

/** What a request authenticates with: exactly one method (RFC 6749 §2.3). */
export type ClientCredentials =
  | {
      readonly method: "client_secret_basic" | "client_secret_post";
      readonly id: string;
      readonly secret: string;
    }
  | { readonly method: "assertion"; readonly id: string; readonly assertion: string }
  | { readonly method: "certificate"; readonly id: string; readonly certificate: ClientCertificate };

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Returns the credentials of a request. Throws `invalid_request` for two methods, `invalid_client` (401) for none. */
export function readClientCredentials(
  request: ProtocolRequest,
  form: Form,
  { certificate }: TlsPeer,
): ClientCredentials {
  const authorization = request.header("authorization");
  const secret = form.get("client_secret");
  const assertion = form.get("client_assertion");
  const id = form.get("client_id");
  if ([authorization, secret, assertion].filter((one) => one !== undefined).length > 1)
    throw new OAuthError("invalid_request", "use one method of client authentication");
  if (authorization !== undefined) return readBasic(authorization, id);
  if (secret !== undefined && id !== undefined) return { method: "client_secret_post", id, secret };
  if (assertion !== undefined) {
    if (form.get("client_assertion_type") !== assertionType)
      throw new OAuthError("invalid_request", "client_assertion_type is missing or unknown");
    const issuer = readUnverifiedIssuer(assertion);
    if (issuer === undefined || (id !== undefined && id !== issuer))
      throw createInvalidClientError("assertion");
    return { method: "assertion", id: issuer, assertion };
  }
  // A certificate authenticates only if there are no other credentials: clients also send one to bind their tokens.
  if (secret === undefined && id !== undefined && certificate)
    return { method: "certificate", id, certificate };
  // RFC 8705 §2: client_id is needed, because the certificate alone does not say which client this is.
  const missing = certificate ? "client_id or another client authentication" : "client authentication";
  throw new OAuthError("invalid_client", `${missing} is missing`, { status: 401 });
}

/** Parses Basic credentials. Id and secret are form-encoded (RFC 6749 §2.3.1); some clients encode even a hyphen. */
function readBasic(authorization: string, id: string | undefined): ClientCredentials {
  const encoded = /^basic ([a-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const pair = encoded === undefined ? "" : Buffer.from(encoded, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 0) throw createInvalidClientError("client_secret_basic");
  try {
    const [username = "", secret = ""] = [pair.slice(0, colon), pair.slice(colon + 1)].map((half) =>
      decodeURIComponent(half.replaceAll("+", " ")),
    );
    if (id !== undefined && id !== username) throw createInvalidClientError("client_secret_basic");
    return { method: "client_secret_basic", id: username, secret };
  } catch {
    throw createInvalidClientError("client_secret_basic");
  }
}

/** Reads and authenticates the agent that sent the request. Throws `invalid_client` (401) otherwise. */
export async function authenticateAgent(
  deps: AuthenticationDeps,
  request: ProtocolRequest,
  form: Form,
  peer: TlsPeer,
): Promise<Versioned<"agent">> {
  const credentials = readClientCredentials(request, form, peer);
  return await authenticateClient(deps, await deps.store.read("agent", credentials.id), credentials);
}

/**
 * Authenticates an agent as read: `found` is undefined if no such agent exists. Returns `found`. Throws `invalid_client`
 * (401), the same for an unknown agent, a wrong credential and a wrong method.
 */
export async function authenticateClient(
  deps: AuthenticationDeps,
  found: Versioned<"agent"> | undefined,
  credentials: ClientCredentials,
): Promise<Versioned<"agent">> {
  const agent = found?.record;
  let valid: boolean | undefined;
  if ("secret" in credentials)
    valid = isSecretValid(credentials.secret, agent && findSecretHash(agent.credential, credentials.method));
  else if ("assertion" in credentials)
    valid = agent && (await verifyAssertion(deps, agent, credentials.assertion));
  else valid = agent && (await verifyCertificate(deps, agent, credentials.certificate));
  if (!found || !valid) throw createInvalidClientError(credentials.method);
  return found;
}

/** Reads and authenticates an API by its client secret. Throws `invalid_client` (401) otherwise. */
export async function authenticateApi(
  store: Pick<Store, "read">,
  request: ProtocolRequest,
  form: Form,
): Promise<Api> {
  const credentials = readClientCredentials(request, form, anonymousPeer);
  const found = await store.read("api", credentials.id);
  const valid = "secret" in credentials && isSecretValid(credentials.secret, found?.record.secretHash);
  if (!found || !valid) throw createInvalidClientError(credentials.method);
  return found.record;
}

function findSecretHash(credential: Agent["credential"], method: string): string | undefined {
  return "secretHash" in credential && credential.method === method ? credential.secretHash : undefined;
}

/** Compared with if there is no stored hash. No known secret has it. */
const placeholderHash = "A".repeat(43);

/** Constant time, also without a stored hash: timing does not reveal which clients exist or how they authenticate. */
function isSecretValid(secret: string, secretHash: string | undefined): boolean {
  const expected = Buffer.from(secretHash ?? placeholderHash, "base64url");
  const matches = timingSafeEqual(hash("sha256", secret, "buffer"), expected);
  return matches && secretHash !== undefined;
}

async function verifyAssertion(deps: AuthenticationDeps, agent: Agent, assertion: string): Promise<boolean> {
  const { method } = agent.credential;
  if (method !== "private_key_jwt" && method !== "client_secret_jwt") return false;
  return await verifyClientAssertion(deps, agent, assertion);
}

/** Compares the certificate with the agent's registration. TLS has verified possession of the key. */
async function verifyCertificate(
  { store, clientJwtVerifier }: AuthenticationDeps,
  agent: Agent,
  { der, verified }: ClientCertificate,
): Promise<boolean> {
  const { credential } = agent;
  const certificate = parseCertificate(der);
  if (!certificate) return false;
  switch (credential.method) {
    // RFC 8705 §2.1: match the name only in a certificate that a configured authority has signed.
    case "tls_client_auth":
      return verified && hasName(certificate, credential.name, credential.value);
    // RFC 8705 §2.2: self-signed; check the validity period and the registered keys.
    case "self_signed_tls_client_auth":
      return (
        isCurrent(certificate, store.now()) && (await clientJwtVerifier.hasCertificate(agent, certificate))
      );
    default:
      return false;
  }
}

/** Every failure returns the same error, to avoid an oracle. `WWW-Authenticate` only if Basic was used (RFC 6749 §5.2). */
function createInvalidClientError(method: ClientCredentials["method"]): OAuthError {
  const description = "client authentication failed";
  if (method !== "client_secret_basic") return new OAuthError("invalid_client", description, { status: 401 });
  const headers = { "www-authenticate": 'Basic realm="countersign"' };
  return new OAuthError("invalid_client", description, { status: 401, headers });
}
