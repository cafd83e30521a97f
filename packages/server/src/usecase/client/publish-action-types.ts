/**
 * Stores every action type that was ever in force by its hash, so that the definition pinned by a request can be read
 * later.
 */
import type { JsonObject } from "@countersign/protocol";
import { configuration } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Policy } from "../../config/sections.ts";
import { absent, type Store } from "../../store/store.ts";

export async function publishActionTypes(store: Store, { actions }: Pick<Policy, "actions">): Promise<void> {
  for (const { definition, hash } of actions.values()) {
    if (await store.read("action_type", hash)) continue;
    const now = store.now();
    const { type } = definition;
    const record = { hash, type, definition: definition as unknown as JsonObject, publishedAt: now };
    // On conflict, another node has just published the same definition.
    await store.commit({
      writes: [{ put: "action_type", record, ifVersion: absent }],
      entries: [newEntry("action_type.published", now, { actor: configuration, facts: { type, hash } })],
    });
  }
}
