/**
 * Dynamic client registration (RFC 7591) and its management (RFC 7592). Action types and the name on cards come from
 * the initial access token, never from the agent. A registration is always validated as a whole, by the same parser
 * as every other.
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
import type { MetadataProblem } from "../../domain/client/problem.ts";
import {
  type Registration,
  type RegistrationPolicy,
  readRegistration,
} from "../../domain/client/registration.ts";
import { newId } from "../../domain/id.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { createCredential, makeAgent, newAgentEntry } from "./client-lifecycle.ts";
import { computeInitialAccessTokenId } from "./initial-access-token.ts";
import { updateAgent } from "./update-agent.ts";

export type RegisterDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly settings: Pick<Settings, "outbound" | "mtls">;
  /** Seals secrets that must be recoverable. */
  readonly secrets: Seal;
};

export type RegisteredClient = {
  readonly agent: Agent;
  /** Registration access token (RFC 7592 §3). */
  readonly token: string;
  /** A new client secret, returned once. */
  readonly secret?: string;
};

/**
 * `unknown_token`: the token is unknown, or not valid for this agent, or the agent does not exist. `paused`: the
 * agent is paused and cannot change its registration until it is resumed.
 */
export type RegisterRefusal = "unknown_token" | "paused" | "metadata";
export type RegisterRefused =
  | { readonly refused: Exclude<RegisterRefusal, "metadata"> }
  | { readonly refused: "metadata"; readonly problems: readonly MetadataProblem[] };

/** Registers an agent. A token with one use registers one agent, also under concurrency. */
export async function register(
  { store, policy, settings, secrets }: RegisterDeps,
  initialToken: string,
  metadata: JsonObject,
): Promise<RegisteredClient | RegisterRefused> {
  const id = computeInitialAccessTokenId(initialToken);
  for (;;) {
    const now = store.now();
    const grant = await store.read("initial_access_token", id);
    if (!grant || now >= grant.record.expiresAt) return { refused: "unknown_token" };
    const { name, types, usesLeft, expiresAt } = grant.record;
    const read = readAllowedRegistration(
      toRegistrationPolicy({ ...settings, ...policy.current() }),
      types,
      metadata,
    );
    if ("problems" in read) return { refused: "metadata", problems: read.problems };
    const { authMethod, ...registration } = read;
    const token = newSecret();
    const { record, secret } = await makeAgent(
      {
        id: newId("agent", now),
        name,
        ...registration,
        credential: createCredential(authMethod, secrets.seal),
        source: "registration",
        registration: { tokenHash: hashSecret(token), types },
      },
      now,
    );
    const tokenWrite: Write =
      usesLeft > 1
        ? {
            put: "initial_access_token",
            record: { ...grant.record, usesLeft: usesLeft - 1 },
            ifVersion: grant.version,
          }
        : { delete: "initial_access_token", id, ifVersion: grant.version };
    const outcome = await store.commit({
      notOnOrAfter: expiresAt,
      writes: [tokenWrite, { put: "agent", record, ifVersion: absent }],
      entries: [
        newAgentEntry(record, now, { facts: { grant: id }, texts: { said_name: readClaimedName(metadata) } }),
      ],
    });
    if (outcome === "committed") return { agent: record, token, ...(secret !== undefined && { secret }) };
  }
}

export async function getRegisteredClient(
  { store }: Pick<RegisterDeps, "store">,
  id: string,
  token: string,
): Promise<RegisteredClient | RegisterRefused> {
  const found = await authenticateRegistration(store, id, token);
  return "refused" in found ? found : { agent: found.record, token };
}

/** Replaces the whole registration: members that are left out get their defaults (RFC 7592 §2.2). */
export async function updateRegisteredClient(
  { store, policy, settings, secrets }: RegisterDeps,
  id: string,
  token: string,
  metadata: JsonObject,
): Promise<RegisteredClient | RegisterRefused> {
  for (;;) {
    const found = await authenticateRegistration(store, id, token);
    if ("refused" in found) return found;
    const { paused, name, registration } = found.record;
    if (paused) return { refused: "paused" };
    const memberProblems = await findServerMembers(metadata, found.record, secrets);
    if (memberProblems.length > 0) return { refused: "metadata", problems: memberProblems };
    const read = readAllowedRegistration(
      toRegistrationPolicy({ ...settings, ...policy.current() }),
      registration!.types,
      metadata,
    );
    if ("problems" in read) return { refused: "metadata", problems: read.problems };
    const { authMethod, ...rest } = read;
    const next = { ...rest, name, credential: createCredential(authMethod, secrets.seal) };
    const changed = await updateAgent(store, found, next, { by: "registration" });
    if (changed === "conflict") continue;
    const updated = await authenticateRegistration(store, id, token);
    if ("refused" in updated) return updated;
    return { agent: updated.record, token, ...(changed.secret !== undefined && { secret: changed.secret }) };
  }
}

/** Removes the agent that the token belongs to (RFC 7592 §2.3). */
export async function removeRegisteredClient(
  { store }: Pick<RegisterDeps, "store">,
  id: string,
  token: string,
): Promise<"done" | RegisterRefused> {
  for (;;) {
    const found = await authenticateRegistration(store, id, token);
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

async function authenticateRegistration(
  store: Store,
  id: string,
  token: string,
): Promise<Versioned<"agent"> | RegisterRefused> {
  const found = await store.read("agent", id);
  const expected = Buffer.from(found?.record.registration?.tokenHash ?? "", "base64url");
  const actual = Buffer.from(hashSecret(token), "base64url");
  if (!found || actual.length !== expected.length || !timingSafeEqual(actual, expected))
    return { refused: "unknown_token" };
  return found;
}

/** Parses a registration that may only have action types which were allowed and are still declared. */
function readAllowedRegistration(
  policy: RegistrationPolicy,
  types: readonly string[],
  metadata: JsonObject,
): Registration | { readonly problems: readonly MetadataProblem[] } {
  const allowed = [...policy.types].filter(([type]) => types.includes(type));
  return readRegistration(metadata, { ...policy, types: new Map(allowed) });
}

/** Returns what is wrong with the members that identify the client or belong to the server (RFC 7592 §2.2). */
async function findServerMembers(
  { client_id, client_secret, ...rest }: JsonObject,
  agent: Agent,
  secrets: Seal,
): Promise<MetadataProblem[]> {
  const problems: MetadataProblem[] = [];
  const addProblem = (member: string, message: string, remedy: string) =>
    problems.push({ member, message, remedy });
  if (client_id !== agent.id)
    addProblem("client_id", "client_id does not match the registration access token", "send the client_id");
  if (client_secret !== undefined && !(await isCurrentSecret(client_secret, agent, secrets)))
    addProblem(
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
    if (member in rest) addProblem(member, "this member is set by the server", "leave it out");
  return problems;
}

async function isCurrentSecret(secret: Json, { credential }: Agent, secrets: Seal): Promise<boolean> {
  if (typeof secret !== "string") return false;
  if ("secretHash" in credential) return hashSecret(secret) === credential.secretHash;
  return (
    "sealedSecret" in credential &&
    hashSecret(secret) === hashSecret(await secrets.open(credential.sealedSecret))
  );
}

/** Returns the name that the agent claims, at most 200 characters. Logged as evidence; never shown on a card. */
function readClaimedName({ client_name: name }: JsonObject): string | undefined {
  if (typeof name !== "string") return undefined;
  // The cut may split a surrogate pair, and PostgreSQL rejects NUL.
  return name.slice(0, 200).toWellFormed().replaceAll("\0", "\ufffd");
}
