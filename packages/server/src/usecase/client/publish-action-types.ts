/** Keeps every action type that was ever in force, by its hash, so that a request's pinned definition can be read later. */
import type { JsonObject } from "@countersign/protocol";
import { configuration } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Policy } from "../../config/sections.ts";
import { absent, type Store } from "../../store/store.ts";

export async function publishTypes(store: Store, { actions }: Pick<Policy, "actions">): Promise<void> {
  for (const { definition, hash } of actions.values()) {
    if (await store.read("action_type", hash)) continue;
    const now = store.now();
    const { type } = definition;
    const record = { hash, type, definition: definition as unknown as JsonObject, publishedAt: now };
    // A conflict means that another node has published the same bytes at this moment.
    await store.commit({
      writes: [{ put: "action_type", record, ifVersion: absent }],
      entries: [newEntry("action_type.published", now, { actor: configuration, facts: { type, hash } })],
    });
  }
}
