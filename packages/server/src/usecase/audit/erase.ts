/** Erases the personal texts of a request permanently. Leaves hold only commitments and are unchanged. */

import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Store } from "../../store/store.ts";

const maxEntries = 10_000;

/**
 * Returns the number of entries whose texts were erased. The log entry is committed first: after a crash in between,
 * repeating the call completes the erasure.
 */
export async function eraseTexts(store: Store, request: string): Promise<number> {
  const entries = await store.log.newest(maxEntries, request);
  const ids = entries.flatMap(({ line, texts }) =>
    Object.keys(texts).length === 0 ? [] : [JSON.parse(line).id as string],
  );
  if (ids.length === 0) return 0;
  const entry = newEntry("texts.erased", store.now(), { actor: operator, request, facts: { entries: ids } });
  await store.commit({ writes: [], entries: [entry] });
  for (const id of ids) await store.log.eraseTexts(id);
  return ids.length;
}
