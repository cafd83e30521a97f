/**
 * Adds, pauses, resumes and removes clients (agents and APIs). Secrets are generated here, returned once, and stored
 * as hashes. Pausing an agent stops its asks, redemptions and spends in one write.
 */

import { operator, toRegistrationActor } from "../../audit/actor.ts";
import type { ActorOf, AnyEntryDetails } from "../../audit/event.ts";
import type { NewEntry } from "../../audit/new-entry.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { hashSecret, newSecret, type Seal } from "../../crypto/secret.ts";
import type { Agent, Api, Credential } from "../../domain/client/client.ts";
import { toClientMetadata } from "../../domain/client/metadata.ts";
import type { ClientAuthMethod } from "../../domain/client/registration.ts";
import { absent, type Store } from "../../store/store.ts";

export type ClientRefused = { readonly refused: "taken" | "unknown" | "already" };

/** A new agent. Members that are left out have the default of the simplest agent. */
export type NewAgent = Pick<Agent, "id" | "name" | "types"> &
  Partial<Pick<Agent, Registrable>> & { readonly credential: NewCredential };
type Registrable =
  | "keys"
  | "assertionAlgorithm"
  | "delivery"
  | "requestAlgorithm"
  | "userCode"
  | "binding"
  | "source"
  | "registration";
/**
 * Methods with a secret get a new one unless `secretHash` is given. `seal` encrypts secrets that must be recoverable.
 */
export type NewCredential =
  | Exclude<Credential, { method: `client_secret_${string}` }>
  | { readonly method: "client_secret_basic" | "client_secret_post"; readonly secretHash?: string }
  | { readonly method: "client_secret_jwt"; readonly seal: Seal["seal"] };

/** Returns the credential to create for an authentication method. */
export function createCredential(authMethod: ClientAuthMethod, seal: Seal["seal"]): NewCredential {
  return authMethod.method === "client_secret_jwt"
    ? { method: authMethod.method, seal }
    : (authMethod as NewCredential);
}

/**
 * Adds an agent whose registration was validated. Returns its new secret, if it has one; it is not stored in clear.
 */
export async function addAgent(
  store: Store,
  input: NewAgent,
): Promise<{ readonly secret?: string } | ClientRefused> {
  const now = store.now();
  const { record, secret } = await makeAgent(input, now);
  const outcome = await store.commit({
    writes: [{ put: "agent", record, ifVersion: absent }],
    entries: [newAgentEntry(record, now)],
  });
  if (outcome === "conflict") return { refused: "taken" };
  return secret === undefined ? {} : { secret };
}

/** Builds the record of a new agent. Returns it with the generated secret, if any. */
export async function makeAgent(
  { credential: newCredential, ...input }: NewAgent,
  now: number,
): Promise<{ readonly record: Agent; readonly secret?: string }> {
  const { credential, secret } = await makeCredential(newCredential);
  const record: Agent = {
    delivery: { mode: "poll" },
    userCode: false,
    source: "command",
    ...input,
    credential,
    paused: false,
    createdAt: now,
  };
  return { record, ...(secret !== undefined && { secret }) };
}

/** Records the complete registration, so that an auditor can tell later which keys and endpoints were valid. */
export function newAgentEntry(
  record: Agent,
  now: number,
  details: Pick<AnyEntryDetails, "facts" | "texts"> = {},
): NewEntry {
  const { source, types } = record;
  const facts = { source, types: [...types], ...toClientMetadata(record), ...details.facts };
  return newEntry("agent.added", now, {
    ...details,
    actor: toRegistrationActor(source, record.id),
    agent: record.id,
    facts,
  });
}

export async function makeCredential(
  newCredential: NewCredential,
): Promise<{ readonly credential: Credential; readonly secret?: string }> {
  const { method } = newCredential;
  switch (method) {
    case "client_secret_basic":
    case "client_secret_post": {
      if (newCredential.secretHash !== undefined)
        return { credential: { method, secretHash: newCredential.secretHash } };
      const secret = newSecret();
      return { credential: { method, secretHash: hashSecret(secret) }, secret };
    }
    case "client_secret_jwt": {
      const secret = newSecret();
      return { credential: { method, sealedSecret: await newCredential.seal(secret) }, secret };
    }
    default:
      return { credential: newCredential };
  }
}

/** Pauses or resumes an agent, on all nodes. */
export async function pauseAgent(
  store: Store,
  id: string,
  paused: boolean,
  actor: ActorOf<"agent.paused"> = operator,
): Promise<"done" | ClientRefused> {
  for (;;) {
    const found = await store.read("agent", id);
    if (!found) return { refused: "unknown" };
    if (found.record.paused === paused) return { refused: "already" };
    const outcome = await store.commit({
      writes: [{ put: "agent", record: { ...found.record, paused }, ifVersion: found.version }],
      entries: [
        newEntry(paused ? "agent.paused" : "agent.resumed", store.now(), {
          actor,
          agent: id,
          approver: actor.type === "approver" ? actor.id : undefined,
        }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}

export async function addApi(
  store: Store,
  id: string,
  api: string,
): Promise<{ readonly secret: string } | ClientRefused> {
  const now = store.now();
  const secret = newSecret();
  const record: Api = { id, api, secretHash: hashSecret(secret), createdAt: now };
  const outcome = await store.commit({
    writes: [{ put: "api", record, ifVersion: absent }],
    entries: [newEntry("api.added", now, { actor: operator, api: id, facts: { api } })],
  });
  return outcome === "conflict" ? { refused: "taken" } : { secret };
}

/** Removes an agent or an API with its credentials. Its requests stay in the log. */
export async function removeClient(
  store: Store,
  kind: "agent" | "api",
  id: string,
  actor: ActorOf<"api.removed"> = operator,
): Promise<"done" | ClientRefused> {
  for (;;) {
    const found = await store.read(kind, id);
    if (!found) return { refused: "unknown" };
    const outcome = await store.commit({
      writes: [{ delete: kind, id, ifVersion: found.version }],
      entries: [
        kind === "agent"
          ? newEntry("agent.removed", store.now(), { actor, agent: id })
          : newEntry("api.removed", store.now(), { actor, api: id }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}
