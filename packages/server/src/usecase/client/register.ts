/**
 * An agent registers itself (RFC 7591), and looks after its registration (RFC 7592). What it may be registered for comes
 * with the operator's allowance and never grows by what it sends; its name on cards comes from there, too. A registration
 * is always read whole, by the same reader as every other.
 */
import { timingSafeEqual } from "node:crypto";
import type { Json, JsonObject } from "@countersign/protocol";
import { toAgentActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { toRegistrationPolicy } from "../../config/config.ts";
import type { PolicySource } from "../../config/policy.ts";
import type { Settings } from "../../config/sections.ts";
import { hashSecret, newSecret, type Seal } from "../../crypto/secret.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Problem } from "../../domain/client/problem.ts";
import {
  type Registration,
  type RegistrationPolicy,
  readRegistration,
} from "../../domain/client/registration.ts";
import { newId } from "../../domain/id.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { createCredential, makeAgent, newAgentEntry } from "./client-lifecycle.ts";
import { computeInitialAccessTokenId } from "./initial-access-token.ts";
import { changeAgent } from "./update-agent.ts";

export type RegisterDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly settings: Pick<Settings, "outbound" | "mtls">;
  /** For secrets that have to be kept. */
  readonly secrets: Seal;
};

export type Registered = {
  readonly agent: Agent;
  /** What looks after the registration (RFC 7592 §3). */
  readonly token: string;
  /** Where there is a new one: shown this once. */
  readonly secret?: string;
};

/**
 * `unknown_token`: no token of ours, or not for this; also for an agent that is not there. `paused`: a person has stopped
 * this agent, and it changes nothing until it is resumed.
 */
export type RegisterRefusal = "unknown_token" | "paused" | "metadata";
export type RegisterRefused =
  | { readonly refused: Exclude<RegisterRefusal, "metadata"> }
  | { readonly refused: "metadata"; readonly problems: readonly Problem[] };

/** Of any number of uses at the same time, an allowance of one lets one through. */
export async function register(
  { store, policy, settings, secrets }: RegisterDeps,
  initialToken: string,
  metadata: JsonObject,
): Promise<Registered | RegisterRefused> {
  const id = computeInitialAccessTokenId(initialToken);
  for (;;) {
    const now = store.now();
    const grant = await store.read("initial_access_token", id);
    if (!grant || now >= grant.record.expiresAt) return { refused: "unknown_token" };
    const { name, types, usesLeft, expiresAt } = grant.record;
    const read = readWithin(toRegistrationPolicy({ ...settings, ...policy.current() }), types, metadata);
    if ("problems" in read) return { refused: "metadata", problems: read.problems };
    const { proof, ...registration } = read;
    const token = newSecret();
    const { record, secret } = await makeAgent(
      {
        id: newId("agent", now),
        name,
        ...registration,
        credential: createCredential(proof, secrets.seal),
        source: "registration",
        registration: { tokenHash: hashSecret(token), types },
      },
      now,
    );
    const used: Write =
      usesLeft > 1
        ? {
            put: "initial_access_token",
            record: { ...grant.record, usesLeft: usesLeft - 1 },
            ifVersion: grant.version,
          }
        : { delete: "initial_access_token", id, ifVersion: grant.version };
    const outcome = await store.commit({
      notOnOrAfter: expiresAt,
      writes: [used, { put: "agent", record, ifVersion: absent }],
      entries: [
        newAgentEntry(record, now, { facts: { grant: id }, texts: { said_name: saidName(metadata) } }),
      ],
    });
    if (outcome === "committed") return { agent: record, token, ...(secret !== undefined && { secret }) };
  }
}

export async function readRegistered(
  { store }: Pick<RegisterDeps, "store">,
  id: string,
  token: string,
): Promise<Registered | RegisterRefused> {
  const found = await findRegistered(store, id, token);
  return "refused" in found ? found : { agent: found.record, token };
}

/** Replaces the whole registration: what is left out is as for one who never said it (RFC 7592 §2.2). */
export async function changeRegistered(
  { store, policy, settings, secrets }: RegisterDeps,
  id: string,
  token: string,
  metadata: JsonObject,
): Promise<Registered | RegisterRefused> {
  for (;;) {
    const found = await findRegistered(store, id, token);
    if ("refused" in found) return found;
    const { paused, name, registration } = found.record;
    if (paused) return { refused: "paused" };
    const foreign = await foreignMembers(metadata, found.record, secrets);
    if (foreign.length > 0) return { refused: "metadata", problems: foreign };
    const read = readWithin(
      toRegistrationPolicy({ ...settings, ...policy.current() }),
      registration!.types,
      metadata,
    );
    if ("problems" in read) return { refused: "metadata", problems: read.problems };
    const { proof, ...rest } = read;
    const next = { ...rest, name, credential: createCredential(proof, secrets.seal) };
    const changed = await changeAgent(store, found, next, { by: "registration" });
    if (changed === "conflict") continue;
    const now = await findRegistered(store, id, token);
    if ("refused" in now) return now;
    return { agent: now.record, token, ...(changed.secret !== undefined && { secret: changed.secret }) };
  }
}

/** The agent takes its own credentials away (RFC 7592 §2.3). */
export async function removeRegistered(
  { store }: Pick<RegisterDeps, "store">,
  id: string,
  token: string,
): Promise<"done" | RegisterRefused> {
  for (;;) {
    const found = await findRegistered(store, id, token);
    if ("refused" in found) return found;
    if (found.record.paused) return { refused: "paused" };
    const outcome = await store.commit({
      writes: [{ delete: "agent", id, ifVersion: found.version }],
      entries: [
        newEntry("agent.removed", store.now(), {
          actor: toAgentActor(id, "registration"),
          agent: id,
          facts: { by: "registration" },
        }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}

async function findRegistered(
  store: Store,
  id: string,
  token: string,
): Promise<Versioned<"agent"> | RegisterRefused> {
  const found = await store.read("agent", id);
  const expected = Buffer.from(found?.record.registration?.tokenHash ?? "", "base64url");
  const given = Buffer.from(hashSecret(token), "base64url");
  if (!found || given.length !== expected.length || !timingSafeEqual(given, expected))
    return { refused: "unknown_token" };
  return found;
}

/** Read as everywhere, with no more action types than were allowed, and are still declared. */
function readWithin(
  policy: RegistrationPolicy,
  types: readonly string[],
  metadata: JsonObject,
): Registration | { readonly problems: readonly Problem[] } {
  const allowed = [...policy.types].filter(([type]) => types.includes(type));
  return readRegistration(metadata, { ...policy, types: new Map(allowed) });
}

/** RFC 7592 §2.2: whose registration it is has to be said, and what the server says about it must not be. */
async function foreignMembers(
  { client_id, client_secret, ...rest }: JsonObject,
  agent: Agent,
  secrets: Seal,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const say = (member: string, message: string, remedy: string) => problems.push({ member, message, remedy });
  if (client_id !== agent.id)
    say("client_id", "client_id does not match the registration access token", "send the client_id");
  if (client_secret !== undefined && !(await isItsSecret(client_secret, agent, secrets)))
    say(
      "client_secret",
      "client_secret does not match the stored secret",
      "leave it out: secrets are made by the server",
    );
  for (const member of [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
  ])
    if (member in rest) say(member, "this member is set by the server", "leave it out");
  return problems;
}

async function isItsSecret(given: Json, { credential }: Agent, secrets: Seal): Promise<boolean> {
  if (typeof given !== "string") return false;
  if ("secretHash" in credential) return hashSecret(given) === credential.secretHash;
  return (
    "sealedSecret" in credential &&
    hashSecret(given) === hashSecret(await secrets.open(credential.sealedSecret))
  );
}

/** What it calls itself is evidence, and nothing that anybody is shown on a card. */
function saidName({ client_name: name }: JsonObject): string | undefined {
  if (typeof name !== "string") return undefined;
  // It may be cut in the middle of a character, and PostgreSQL keeps no NUL.
  return name.slice(0, 200).toWellFormed().replaceAll("\0", "\ufffd");
}
