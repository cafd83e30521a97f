import type { NewEntry } from "../audit/new-entry.ts";
import type { Change, Store } from "./store.ts";

/** Hears of an entry once it is on disk, with what was written beside it. It must not throw: the change has happened. */
export type CommitListener = (entry: NewEntry["entry"], writes: Change["writes"]) => void;

/** The same store, watched: whoever counts or tells what happens hears of what was committed, and of nothing else. */
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
