/**
 * An agent's registration changes: always the whole of it, checked whole by whoever calls, so that nothing comes in by the
 * way of a change that could not have been registered. What changed is in the log; whether it is paused does not change.
 */
import { canonicalize, type Json, type JsonObject } from "@countersign/protocol";
import { toRegistrationActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Agent, Credential } from "../../domain/client/client.ts";
import { toClientMetadata } from "../../domain/client/metadata.ts";
import type { Store, Versioned, Write } from "../../store/store.ts";
import { makeCredential, type NewAgent, type NewCredential } from "./client-lifecycle.ts";

/** What it is registered with from now on. `source` says who changed it; it stays whose it was. */
export type UpdatedAgent = Omit<NewAgent, "id" | "source" | "registration"> &
  Pick<Agent, "delivery" | "userCode">;

export type Changed = {
  /** The members of its metadata that are others now, in wire spelling; `client_secret` where there is a new one. */
  readonly members: readonly string[];
  readonly secret?: string;
};

export type ChangeOptions = {
  /** Where the change comes from. */
  readonly by: Agent["source"];
  /** A new secret, also where the old one would still do. */
  readonly renew?: boolean;
  /** What else must still be as it was read. */
  readonly also?: readonly Write[];
};

/** `conflict`: somebody else changed it meanwhile; read again. */
export async function changeAgent(
  store: Store,
  { record: before, version }: Versioned<"agent">,
  { credential: wanted, ...next }: UpdatedAgent,
  { by, renew = false, also = [] }: ChangeOptions,
): Promise<Changed | "conflict"> {
  const kept = renew ? undefined : keptCredential(before.credential, wanted);
  const { credential, secret } = kept ? { credential: kept } : await makeCredential(wanted);
  const { id, paused, createdAt, source } = before;
  // The operator's word replaces what it was allowed when it registered itself.
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
    writes: [{ put: "agent", record, ifVersion: version }, ...also],
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

/** The secret, as long as the next method can do with what is kept of it; undefined where there is none to keep. */
function keptCredential(before: Credential, wanted: NewCredential): Credential | undefined {
  switch (wanted.method) {
    case "client_secret_basic":
    case "client_secret_post":
      return wanted.secretHash === undefined && "secretHash" in before
        ? { method: wanted.method, secretHash: before.secretHash }
        : undefined;
    case "client_secret_jwt":
      return before.method === wanted.method ? before : undefined;
    default:
      return undefined;
  }
}

/** Each member that is another now, with its new value; null where it is gone. */
export function diffAgents(before: Agent, after: Agent): JsonObject {
  const [old, now] = [before, after].map((agent): { readonly [member: string]: Json } => ({
    ...toClientMetadata(agent),
    types: [...agent.types],
  }));
  const changed: { [member: string]: Json } = {};
  for (const member of new Set([...Object.keys(old!), ...Object.keys(now!)])) {
    const value = now![member] ?? null;
    if (canonicalize(value) !== canonicalize(old![member] ?? null)) changed[member] = value;
  }
  if (secretOf(before) !== secretOf(after))
    changed.client_secret = secretOf(after) === undefined ? null : "new";
  return changed;
}

function secretOf({ credential }: Agent): string | undefined {
  if ("secretHash" in credential) return credential.secretHash;
  return "sealedSecret" in credential ? credential.sealedSecret : undefined;
}
