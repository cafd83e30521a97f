/** How a rule of the contract is written down, and the few words that most of them need. */
import assert from "node:assert/strict";
import type { Kind, Records } from "../record/records.ts";
import type { Outcome, Store, Write } from "../store.ts";
import { anEntry } from "./fixture.ts";

export type OpenedStore = {
  readonly store: Store;
  /** Another handle on the same data, as another process would have it. May be called while others are open. */
  reopen(): Promise<Store>;
  /** Closes every handle that is still open and removes the data. */
  discard(): Promise<void>;
};

/** One test: a sentence about the rule, and the check, which gets an empty store of its own. */
export type ContractCase = (title: string, check: (opened: OpenedStore) => Promise<void>) => void;

/** Commits these writes with an entry that says nothing. */
export function commit(store: Store, ...writes: Write[]): Promise<Outcome> {
  return store.commit({ writes, entries: [anEntry()] });
}

export function put<K extends Kind>(
  store: Store,
  kind: K,
  record: Records[K],
  ifVersion: number,
): Promise<Outcome> {
  return commit(store, { put: kind, record, ifVersion } as unknown as Write);
}

/** The next value of a transition that this test knows to be possible. */
export function assertNotRefused<T extends object>(value: T): Exclude<T, { readonly refused: unknown }> {
  assert.ok(!("refused" in value));
  return value as Exclude<T, { readonly refused: unknown }>;
}
