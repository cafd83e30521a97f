/**
 * Who calls: agents and APIs prove themselves here, by the one method that they are registered for (OpenID Connect Core
 * §9, RFC 7523, RFC 8705 §2). What proves nothing is `invalid_client`, and nobody learns why, nor whether there is such
 * a client.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { hasName, isCurrent, readCertificate } from "../../domain/client/certificate.ts";
import type { Agent, Api } from "../../domain/client/client.ts";
import type { MaybePromise, Versioned } from "../../store/store.ts";
import { anonymousPeer, type ClientCertificate, type TlsPeer } from "../transport/peer.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type AssertionDeps, usesClientAssertion } from "./client-assertion.ts";
import { invalidClient, readClientCredentials } from "./client-credentials.ts";
import type { Form } from "./form.ts";

export type AuthenticationDeps = AssertionDeps;

/** `read` finds the agent, for an endpoint that has more to read at the same time. */
export async function authenticateAgent(
  deps: AuthenticationDeps,
  call: ProtocolRequest,
  form: Form,
  peer: TlsPeer,
  read: (id: string) => MaybePromise<Versioned<"agent"> | undefined> = (id) => deps.store.read("agent", id),
): Promise<Versioned<"agent">> {
  const presented = readClientCredentials(call, form, peer);
  const found = await read(presented.id);
  const agent = found?.record;
  let proved: boolean | undefined;
  if ("secret" in presented)
    proved = isSecret(presented.secret, agent && secretHashOf(agent.credential, presented.by));
  else if ("assertion" in presented) proved = agent && (await provesByJwt(deps, agent, presented.assertion));
  else proved = agent && (await provesByCertificate(deps, agent, presented.certificate));
  if (!found || !proved) throw invalidClient(presented.by);
  return found;
}

/** APIs have secrets, and bring them as they like. */
export async function authenticateApi(
  { store }: AuthenticationDeps,
  call: ProtocolRequest,
  form: Form,
): Promise<Api> {
  const presented = readClientCredentials(call, form, anonymousPeer);
  const found = await store.read("api", presented.id);
  const proved = "secret" in presented && isSecret(presented.secret, found?.record.secretHash);
  if (!found || !proved) throw invalidClient(presented.by);
  return found.record;
}

function secretHashOf(credential: Agent["credential"], method: string): string | undefined {
  return "secretHash" in credential && credential.method === method ? credential.secretHash : undefined;
}

/** What no secret hashes to, as far as anybody can know. */
const nobodysHash = "A".repeat(43);

/** Costs the same where there is nothing to compare with: time does not tell who is registered, nor how. */
function isSecret(given: string, secretHash: string | undefined): boolean {
  const expected = Buffer.from(secretHash ?? nobodysHash, "base64url");
  const same = timingSafeEqual(hash("sha256", given, "buffer"), expected);
  return same && secretHash !== undefined;
}

async function provesByJwt(deps: AuthenticationDeps, agent: Agent, assertion: string): Promise<boolean> {
  const { method } = agent.credential;
  if (method !== "private_key_jwt" && method !== "client_secret_jwt") return false;
  return await usesClientAssertion(deps, agent, assertion);
}

/** That the caller has the certificate's key, TLS has proved. What is left is whether it is this agent's certificate. */
async function provesByCertificate(
  { store, agentKeys }: AuthenticationDeps,
  agent: Agent,
  { der, verified }: ClientCertificate,
): Promise<boolean> {
  const { credential } = agent;
  const certificate = readCertificate(der);
  if (!certificate) return false;
  switch (credential.method) {
    // RFC 8705 §2.1: a name counts only where an authority that the operator trusts stands behind it.
    case "tls_client_auth":
      return verified && hasName(certificate, credential.name, credential.value);
    // RFC 8705 §2.2: nobody stands behind it but its owner, who also said until when it is good.
    case "self_signed_tls_client_auth":
      return isCurrent(certificate, store.now()) && (await agentKeys.hasCertificate(agent, certificate));
    default:
      return false;
  }
}
