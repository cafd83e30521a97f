import type { NewEntry } from "../audit/new-entry.ts";
import type { Change, Store } from "./store.ts";

/**
 * Called with each entry once it is durable, and with the writes of its change. Must not throw: the change is already
 * committed.
 */
export type CommitListener = (entry: NewEntry["entry"], writes: Change["writes"]) => void;

/**
 * Returns the store with a listener that is called for each entry after its change was committed (metrics, logging).
 */
export function observeCommits(store: Store, listener: CommitListener): Store {
  return {
    ...store,
    commit: async (change) => {
      const outcome = await store.commit(change);
      if (outcome === "committed") for (const { entry } of change.entries) listener(entry, change.writes);
      return outcome;
    },
  };
}
