/**
 * Updates the registration of an agent. The caller has validated it as a whole, so that a change cannot introduce
 * what could not be registered. The changed members are logged; the paused state is kept.
 */
import { canonicalize, type Json, type JsonObject } from "@countersign/protocol";
import { toRegistrationActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Agent, Credential } from "../../domain/client/client.ts";
import { toClientMetadata } from "../../domain/client/metadata.ts";
import type { Store, Versioned, Write } from "../../store/store.ts";
import { makeCredential, type NewAgent, type NewCredential } from "./client-lifecycle.ts";

/** The complete new registration. The source of the agent does not change. */
export type UpdatedAgent = Omit<NewAgent, "id" | "source" | "registration"> &
  Pick<Agent, "delivery" | "userCode">;

export type AgentUpdateResult = {
  /** Changed members of the client metadata; `client_secret` if there is a new secret. */
  readonly members: readonly string[];
  readonly secret?: string;
};

export type UpdateAgentOptions = {
  /** Who makes the change. */
  readonly by: Agent["source"];
  /** Generate a new secret even if the current one could be kept. Default: false. */
  readonly renew?: boolean;
  /** Additional writes, for example guards. Default: none. */
  readonly extraWrites?: readonly Write[];
};

/** Returns `conflict` if the agent changed since it was read. */
export async function updateAgent(
  store: Store,
  { record: before, version }: Versioned<"agent">,
  { credential: newCredential, ...next }: UpdatedAgent,
  { by, renew = false, extraWrites = [] }: UpdateAgentOptions,
): Promise<AgentUpdateResult | "conflict"> {
  const kept = renew ? undefined : findReusableCredential(before.credential, newCredential);
  const { credential, secret } = kept ? { credential: kept } : await makeCredential(newCredential);
  const { id, paused, createdAt, source } = before;
  // An operator may change the action types that a registered agent was allowed.
  const registration =
    before.registration && by === "command"
      ? { ...before.registration, types: next.types }
      : before.registration;
  const record: Agent = {
    ...next,
    id,
    paused,
    createdAt,
    source,
    credential,
    ...(registration && { registration }),
  };
  const changed = diffAgents(before, record);
  const members = Object.keys(changed);
  if (members.length === 0) return { members };
  const outcome = await store.commit({
    writes: [{ put: "agent", record, ifVersion: version }, ...extraWrites],
    entries: [
      newEntry("agent.changed", store.now(), {
        actor: toRegistrationActor(by, id),
        agent: id,
        facts: { by, changed },
      }),
    ],
  });
  if (outcome === "conflict") return "conflict";
  return secret === undefined ? { members } : { members, secret };
}

/** Returns the current credential in the form of the new method, or undefined if the secret cannot be kept. */
function findReusableCredential(before: Credential, next: NewCredential): Credential | undefined {
  switch (next.method) {
    case "client_secret_basic":
    case "client_secret_post":
      return next.secretHash === undefined && "secretHash" in before
        ? { method: next.method, secretHash: before.secretHash }
        : undefined;
    case "client_secret_jwt":
      return before.method === next.method ? before : undefined;
    default:
      return undefined;
  }
}

/** Returns the changed members with their new values; null for removed ones. */
export function diffAgents(before: Agent, after: Agent): JsonObject {
  const [oldMembers, newMembers] = [before, after].map((agent): { readonly [member: string]: Json } => ({
    ...toClientMetadata(agent),
    types: [...agent.types],
  }));
  const changed: { [member: string]: Json } = {};
  for (const member of new Set([...Object.keys(oldMembers!), ...Object.keys(newMembers!)])) {
    const value = newMembers![member] ?? null;
    if (canonicalize(value) !== canonicalize(oldMembers![member] ?? null)) changed[member] = value;
  }
  if (secretOf(before) !== secretOf(after))
    changed.client_secret = secretOf(after) === undefined ? null : "new";
  return changed;
}

function secretOf({ credential }: Agent): string | undefined {
  if ("secretHash" in credential) return credential.secretHash;
  return "sealedSecret" in credential ? credential.sealedSecret : undefined;
}
