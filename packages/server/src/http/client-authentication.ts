/**
 * Who calls: agents and APIs prove themselves here, by the one method that they are registered for (OpenID Connect Core
 * §9, RFC 7523, RFC 8705 §2). What proves nothing is `invalid_client`, and nobody learns why, nor whether there is such
 * a client.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { isCurrent, isNamed, readCertificate } from "../client/certificate.ts";
import type { Agent, Api } from "../client/client.ts";
import type { Awaitable, Held } from "../store/store.ts";
import type { Call } from "./call.ts";
import { type AssertionGround, provesByAssertion } from "./client-assertion.ts";
import type { Form } from "./form.ts";
import { type ClientCertificate, nobody, type Peer } from "./peer.ts";
import { invalidClient, readPresented } from "./presented.ts";

export type AuthenticationGround = AssertionGround;

/** `read` finds the agent, for an endpoint that has more to read at the same time. */
export async function authenticateAgent(
  ground: AuthenticationGround,
  call: Call,
  form: Form,
  peer: Peer,
  read: (id: string) => Awaitable<Held<"agent"> | undefined> = (id) => ground.store.read("agent", id),
): Promise<Held<"agent">> {
  const presented = readPresented(call, form, peer);
  const held = await read(presented.id);
  const agent = held?.record;
  let proved: boolean | undefined;
  if ("secret" in presented)
    proved = isSecret(presented.secret, agent && secretHashOf(agent.credential, presented.by));
  else if ("assertion" in presented)
    proved = agent && (await provesByJwt(ground, agent, presented.assertion));
  else proved = agent && (await provesByCertificate(ground, agent, presented.certificate));
  if (!held || !proved) throw invalidClient(presented.by);
  return held;
}

/** APIs have secrets, and bring them as they like. */
export async function authenticateApi({ store }: AuthenticationGround, call: Call, form: Form): Promise<Api> {
  const presented = readPresented(call, form, nobody);
  const held = await store.read("api", presented.id);
  const proved = "secret" in presented && isSecret(presented.secret, held?.record.secretHash);
  if (!held || !proved) throw invalidClient(presented.by);
  return held.record;
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

async function provesByJwt(ground: AuthenticationGround, agent: Agent, assertion: string): Promise<boolean> {
  const { method } = agent.credential;
  if (method !== "private_key_jwt" && method !== "client_secret_jwt") return false;
  return await provesByAssertion(ground, agent, assertion);
}

/** That the caller has the certificate's key, TLS has proved. What is left is whether it is this agent's certificate. */
async function provesByCertificate(
  { store, agentKeys }: AuthenticationGround,
  agent: Agent,
  { der, verified }: ClientCertificate,
): Promise<boolean> {
  const { credential } = agent;
  const certificate = readCertificate(der);
  if (!certificate) return false;
  switch (credential.method) {
    // RFC 8705 §2.1: a name counts only where an authority that the operator trusts stands behind it.
    case "tls_client_auth":
      return verified && isNamed(certificate, credential.name, credential.value);
    // RFC 8705 §2.2: nobody stands behind it but its owner, who also said until when it is good.
    case "self_signed_tls_client_auth":
      return isCurrent(certificate, store.now()) && (await agentKeys.includes(agent, certificate));
    default:
      return false;
  }
}
