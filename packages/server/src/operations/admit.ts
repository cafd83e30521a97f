/**
 * The operator lets agents and APIs in, and stops them. Secrets are made here, shown once, and kept as hashes.
 * Pausing an agent stops its asks, its redemptions and the spending of its tokens, in one write.
 */
import type { JsonObject } from "@countersign/protocol";
import type { Agent, Api, Credential } from "../client/client.ts";
import { absent, type Store } from "../store/store.ts";
import { newEntry } from "./entry.ts";
import { hashSecret, newSecret } from "./secret.ts";

export type Refused = { readonly refused: "taken" | "unknown" | "already" };

export async function addAgent(
  store: Store,
  input: Pick<Agent, "id" | "name" | "types"> & {
    readonly method: Credential["method"];
    /** Public keys, for `private_key_jwt`. */
    readonly keys?: readonly JsonObject[];
  },
): Promise<{ readonly secret?: string } | Refused> {
  const now = store.now();
  const secret = input.method === "private_key_jwt" ? undefined : newSecret();
  const credential: Credential =
    input.method === "private_key_jwt"
      ? { method: input.method, keys: input.keys ?? [] }
      : { method: input.method, secretHash: hashSecret(secret!) };
  const { id, name, types } = input;
  const record: Agent = { id, name, types, credential, paused: false, createdAt: now };
  const outcome = await store.commit({
    writes: [{ put: "agent", record, expect: absent }],
    entries: [
      newEntry("agent.added", now, { agent: id, facts: { name, types: [...types], method: input.method } }),
    ],
  });
  return outcome === "conflict" ? { refused: "taken" } : { secret };
}

/** Stops an agent everywhere at once, or lets it go on. `by` is the approver who did it; without, the operator. */
export async function pauseAgent(
  store: Store,
  id: string,
  paused: boolean,
  by?: string,
): Promise<"done" | Refused> {
  for (;;) {
    const held = await store.read("agent", id);
    if (!held) return { refused: "unknown" };
    if (held.record.paused === paused) return { refused: "already" };
    const outcome = await store.commit({
      writes: [{ put: "agent", record: { ...held.record, paused }, expect: held.version }],
      entries: [
        newEntry(paused ? "agent.paused" : "agent.resumed", store.now(), { agent: id, approver: by }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}

export async function addApi(
  store: Store,
  id: string,
  api: string,
): Promise<{ readonly secret: string } | Refused> {
  const now = store.now();
  const secret = newSecret();
  const record: Api = { id, api, secretHash: hashSecret(secret), createdAt: now };
  const outcome = await store.commit({
    writes: [{ put: "api", record, expect: absent }],
    entries: [newEntry("api.added", now, { api: id, facts: { api } })],
  });
  return outcome === "conflict" ? { refused: "taken" } : { secret };
}

/** Takes an agent's or an API's credentials away. What it asked stays in the log. */
export async function remove(store: Store, kind: "agent" | "api", id: string): Promise<"done" | Refused> {
  for (;;) {
    const held = await store.read(kind, id);
    if (!held) return { refused: "unknown" };
    const outcome = await store.commit({
      writes: [{ drop: kind, id, expect: held.version }],
      entries: [newEntry(`${kind}.removed`, store.now(), { [kind]: id })],
    });
    if (outcome === "committed") return "done";
  }
}
