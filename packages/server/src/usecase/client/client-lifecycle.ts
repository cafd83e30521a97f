/**
 * The operator lets agents and APIs in, and stops them. Secrets are made here, shown once, and kept as hashes.
 * Pausing an agent stops its asks, its redemptions and the spending of its tokens, in one write.
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

/** An agent as somebody registers it: what is not said is as for the simplest one. */
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
/** A method with a secret gets one made, unless its hash is given; `seal` encrypts it where it has to be kept. */
export type NewCredential =
  | Exclude<Credential, { method: `client_secret_${string}` }>
  | { readonly method: "client_secret_basic" | "client_secret_post"; readonly secretHash?: string }
  | { readonly method: "client_secret_jwt"; readonly seal: Seal["seal"] };

/** The credential to make for how an agent is to prove itself. */
export function createCredential(proof: ClientAuthMethod, seal: Seal["seal"]): NewCredential {
  return proof.method === "client_secret_jwt" ? { method: proof.method, seal } : (proof as NewCredential);
}

/** Lets an agent in. What the registration says has been checked. Answers its secret, where it has one, this once. */
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

/** The record of a new agent, with the secret that was made for it. */
export async function makeAgent(
  { credential, ...input }: NewAgent,
  now: number,
): Promise<{ readonly record: Agent; readonly secret?: string }> {
  const { credential: kept, secret } = await makeCredential(credential);
  const record: Agent = {
    delivery: { mode: "poll" },
    userCode: false,
    source: "command",
    ...input,
    credential: kept,
    paused: false,
    createdAt: now,
  };
  return { record, ...(secret !== undefined && { secret }) };
}

/** Records the complete registration, so that an auditor can tell later which keys and endpoints were valid. */
export function newAgentEntry(
  record: Agent,
  now: number,
  about: Pick<AnyEntryDetails, "facts" | "texts"> = {},
): NewEntry {
  const { source, types } = record;
  const facts = { source, types: [...types], ...toClientMetadata(record), ...about.facts };
  return newEntry("agent.added", now, {
    ...about,
    actor: toRegistrationActor(source, record.id),
    agent: record.id,
    facts,
  });
}

export async function makeCredential(
  given: NewCredential,
): Promise<{ readonly credential: Credential; readonly secret?: string }> {
  const { method } = given;
  switch (method) {
    case "client_secret_basic":
    case "client_secret_post": {
      if (given.secretHash !== undefined) return { credential: { method, secretHash: given.secretHash } };
      const secret = newSecret();
      return { credential: { method, secretHash: hashSecret(secret) }, secret };
    }
    case "client_secret_jwt": {
      const secret = newSecret();
      return { credential: { method, sealedSecret: await given.seal(secret) }, secret };
    }
    default:
      return { credential: given };
  }
}

/** Pauses an agent everywhere at once, or resumes it. */
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

/** Takes an agent's or an API's credentials away. What it asked stays in the log. */
export async function remove(
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
