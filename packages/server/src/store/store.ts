/**
 * Where things are kept. Readers by name, and one way to write: a `Change`, which carries its guards, its records,
 * its outgoing messages and its log entries, and happens whole or not at all. Many processes may share one store;
 * nothing here assumes that it is alone. It never decides anything: guards say what was read, and `commit` says
 * whether that still held.
 */

import type { Hash, RequestState } from "@countersign/protocol";
import type { NewEntry } from "../audit/new-entry.ts";
import type { DeliveryMode } from "../domain/client/client.ts";
import type { Device } from "../domain/people/approver.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import type { Kind, LeasedKind, Records, UnloggedKind } from "./record/records.ts";

export type MaybePromise<T> = T | Promise<T>;

/** A record as it was read, with the version that a later write must still find. */
export type Versioned<K extends Kind> = { readonly record: Records[K]; readonly version: number };

/** Version 0 stands for "is not there". */
export const absent = 0;

/** One record's part of a change. `expect` is the version that was read; another one there now is a conflict. */
export type Write<K extends Kind = Kind> = {
  [P in K]:
    | { readonly put: P; readonly record: Records[P]; readonly ifVersion: number }
    | { readonly delete: P; readonly id: string; readonly ifVersion: number }
    | { readonly check: P; readonly id: string; readonly ifVersion: number };
}[K];

export type Change = {
  readonly writes: readonly Write[];
  /** Milliseconds since the epoch. A conflict unless the store's own clock, inside the commit, is before it. */
  readonly notOnOrAfter?: number;
  /** A conflict unless, inside the commit, this agent has fewer requests pending. */
  readonly maxPending?: { readonly agent: string; readonly limit: number };
  /** A conflict unless, inside the commit, this agent has fewer requests created at or after `since`. */
  readonly maxCreatedSince?: { readonly agent: string; readonly since: number; readonly limit: number };
  /** Never empty: a change and its log entry are one write. The first entry's id is the change's id. */
  readonly entries: readonly [NewEntry, ...NewEntry[]];
};

/** A write that holds no decision and no authority, and so needs no log entry. */
export type UnloggedChange = {
  readonly writes: readonly Write<UnloggedKind>[];
  readonly notOnOrAfter?: number;
};

/** `committed`: durable, on disk. `conflict`: a guard did not hold and nothing of this change was written. */
export type Outcome = "committed" | "conflict";

/** A sequenced log entry: its exact bytes, and the texts that have not been erased. */
export type LoggedEntry = {
  readonly index: number;
  readonly line: string;
  readonly texts: NewEntry["texts"];
};

export interface Log {
  /** How many entries have an index. */
  size(): MaybePromise<number>;
  entries(from: number, limit: number): MaybePromise<readonly LoggedEntry[]>;
  /** The newest entries about one request, or of all, newest first; those not yet sequenced have index -1. */
  newest(limit: number, request?: string): MaybePromise<readonly LoggedEntry[]>;
  /** True if the entry with this id was committed: answers what became of a commit whose answer was lost. */
  hasEntry(entryId: string): MaybePromise<boolean>;
  root(size: number): MaybePromise<Hash>;
  inclusion(index: number, size: number): MaybePromise<readonly Hash[]>;
  consistency(oldSize: number, size: number): MaybePromise<readonly Hash[]>;
  /** Gives up to `limit` waiting entries their index, in order of arrival, and answers the new size. */
  sequence(limit: number): Promise<number>;
  storeCheckpoint(size: number, note: string): Promise<void>;
  checkpoints(): MaybePromise<readonly { readonly size: number; readonly note: string }[]>;
  newestCheckpoint(): MaybePromise<{ readonly size: number; readonly note: string } | undefined>;
  /** Erases the personal text of one entry for good. Its line, which holds only commitments, stays as it is. */
  eraseTexts(entryId: string): Promise<void>;
}

/** What a watcher is told after a change of a request is durable. Undefined: something changed in another process. */
export type ChangeEvent =
  | {
      readonly requestId: string;
      readonly candidates: readonly string[];
      readonly state: RequestState;
      readonly delivery: DeliveryMode;
      /** Another process wrote it, and does what there is to do about it. */
      readonly remote?: true;
    }
  | undefined;

/** So many that are due, the longest due first; or those of these that are. */
export type ClaimFilter = { readonly limit: number } | { readonly ids: readonly string[] };

/** How a request stands, as written; see `stateAt` for what the clock makes of it. */
export type PollState = {
  readonly agent: string;
  readonly state: RequestState;
  readonly expiresAt: number;
};

/** An agent, and a request of whatever agent: what is not there is left out. */
export type AgentAndStatus = { readonly agent?: Versioned<"agent">; readonly request?: PollState };

export interface Store {
  /** The store's clock, in milliseconds since the epoch. */
  now(): number;

  read<K extends Kind>(kind: K, id: string): MaybePromise<Versioned<K> | undefined>;
  /** Every record of a kind of which there are few: agents, APIs, approvers, keys, latches. Ordered by id. */
  list<K extends Kind>(kind: K): MaybePromise<readonly Versioned<K>[]>;
  /** Records about which the clock has something to say at `now`, the longest due first. */
  due<K extends Kind>(kind: K, now: number, limit: number): MaybePromise<readonly Versioned<K>[]>;
  /**
   * What there is something to do about by the store's clock: kinds with a record that is due, and the log where entries
   * wait for their index or for a checkpoint. One question, for rounds that mostly find nothing.
   */
  listPendingKinds(): MaybePromise<ReadonlySet<Kind | "log">>;

  /** The little that a poll needs, without reading the rest. */
  readStatus(requestId: string): MaybePromise<PollState | undefined>;
  /** Both that a poll needs, in one statement. A request is found only together with an agent. */
  readAgentAndStatus(agentId: string, requestId: string): MaybePromise<AgentAndStatus>;
  /** Which of these requests are not pending: answered, over or not there. For many at once. */
  findNotPending(requestIds: readonly string[]): MaybePromise<readonly string[]>;
  findApproverByEmail(email: string): MaybePromise<Versioned<"approver"> | undefined>;
  listDevicesOf(approverId: string): MaybePromise<readonly Device[]>;
  /** Returns all contacts of an approver, of every channel, disabled ones too. Ordered by id. */
  listContactsOf(approverId: string): MaybePromise<readonly Versioned<"contact">[]>;
  listSessionsOn(deviceId: string): MaybePromise<readonly Versioned<"session">[]>;
  /** Pending requests that this approver may decide, oldest first; the caller leaves out those past their time. */
  listPendingFor(approverId: string): MaybePromise<readonly ApprovalRequest[]>;
  listDecidedBy(approverId: string, limit: number): MaybePromise<readonly ApprovalRequest[]>;
  /** Newest first. `state` is the state as written; see `stateAt` for what the clock makes of it. */
  listRequests(filter: {
    readonly state?: RequestState;
    readonly limit: number;
  }): MaybePromise<readonly ApprovalRequest[]>;
  /** How many of an agent's requests are pending and not past their time at `now`. */
  countPending(agentId: string, now: number): MaybePromise<number>;
  /** When the requests were created that are pending and not past their time at `now`, oldest first. */
  listPendingCreatedAt(now: number, limit: number): MaybePromise<readonly number[]>;
  /** How many requests an agent has had created at or after `since`. */
  countCreatedSince(agentId: string, since: number): MaybePromise<number>;
  /** Returns the queued messages that report the end of this request once it has ended. */
  listMessagesAwaiting(requestId: string): MaybePromise<readonly Versioned<"message">[]>;
  /** Messages that were given up, newest first. */
  listAbandonedMessages(limit: number): MaybePromise<readonly Records["message"][]>;
  /** Callbacks that were given up, newest first. */
  listAbandonedCallbacks(limit: number): MaybePromise<readonly Records["callback"][]>;

  commit(change: Change): Promise<Outcome>;
  commitUnlogged(change: UnloggedChange): Promise<Outcome>;
  /**
   * Leases records that are due, by the store's clock: as they are answered they are the caller's alone, until the lease
   * ends and they are due again. Of several who claim at once each record goes to one, and nobody waits for another.
   */
  claim<K extends LeasedKind>(kind: K, filter: ClaimFilter): Promise<readonly Versioned<K>[]>;

  readonly log: Log;
  /** Calls back after durable changes of requests, in this process or another. Answers how to stop. */
  watch(listener: (event: ChangeEvent) => void): () => void;
  /** Waits for what was asked to be written, then lets go of the files. */
  close(): Promise<void>;
}
