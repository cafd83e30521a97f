/** Erases the personal text about one request for good. The leaves, which hold only commitments, stay as they are. */

import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Store } from "../../store/store.ts";

const most = 10_000;

/**
 * Answers how many entries lost their text. That it was asked for is in the log before anything is gone: if we crash in
 * between, asking again finishes it.
 */
export async function eraseTexts(store: Store, request: string): Promise<number> {
  const entries = await store.log.newest(most, request);
  const ids = entries.flatMap(({ line, texts }) =>
    Object.keys(texts).length === 0 ? [] : [JSON.parse(line).id as string],
  );
  if (ids.length === 0) return 0;
  const entry = newEntry("texts.erased", store.now(), { actor: operator, request, facts: { entries: ids } });
  await store.commit({ writes: [], entries: [entry] });
  for (const id of ids) await store.log.eraseTexts(id);
  return ids.length;
}
