/** Declares contract cases, and helpers that most of them use. */
import assert from "node:assert/strict";
import type { Kind, Records } from "../record/records.ts";
import type { Outcome, Store, Write } from "../store.ts";
import { anEntry } from "./fixture.ts";

export type OpenedStore = {
  readonly store: Store;
  /** Opens another handle on the same data, as another process would. May be called while others are open. */
  reopen(): Promise<Store>;
  /** Closes every handle that is still open and removes the data. */
  discard(): Promise<void>;
};

/** Registers one test: its title, and the check, which gets an empty store. */
export type ContractCase = (title: string, check: (opened: OpenedStore) => Promise<void>) => void;

/** Commits the writes with an arbitrary log entry. */
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

/** Returns the result of a transition. Fails if it was refused. */
export function assertNotRefused<T extends object>(value: T): Exclude<T, { readonly refused: unknown }> {
  assert.ok(!("refused" in value));
  return value as Exclude<T, { readonly refused: unknown }>;
}
