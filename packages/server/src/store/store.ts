/**
 * The store: named readers, and one way to write. A `Change` carries its guards, records, outgoing messages and log
 * entries, and is committed as a whole or not at all. Several processes may share a store. The store makes no
 * decisions: guards name what was read, and `commit` returns whether that still held.
 */

import type { Hash, RequestState } from "@countersign/protocol";
import type { NewEntry } from "../audit/new-entry.ts";
import type { DeliveryMode } from "../domain/client/client.ts";
import type { Device } from "../domain/people/approver.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import type { Kind, LeasedKind, Records, UnloggedKind } from "./record/records.ts";

export type MaybePromise<T> = T | Promise<T>;

/** A record and its version, which guards a later write. */
export type Versioned<K extends Kind> = { readonly record: Records[K]; readonly version: number };

/** The version of a record that does not exist. */
export const absent = 0;

/**
 * The write of one record. `ifVersion` is the version that was read; if it differs at commit, the change is a
 * conflict.
 */
export type Write<K extends Kind = Kind> = {
  [P in K]:
    | { readonly put: P; readonly record: Records[P]; readonly ifVersion: number }
    | { readonly delete: P; readonly id: string; readonly ifVersion: number }
    | { readonly check: P; readonly id: string; readonly ifVersion: number };
}[K];

export type Change = {
  readonly writes: readonly Write[];
  /** Milliseconds since the epoch. The change is a conflict if the store's clock has reached this time at commit. */
  readonly notOnOrAfter?: number;
  /** The change is a conflict if the agent has `limit` or more pending requests at commit. */
  readonly maxPending?: { readonly agent: string; readonly limit: number };
  /** The change is a conflict if the agent has `limit` or more requests created at or after `since`, at commit. */
  readonly maxCreatedSince?: { readonly agent: string; readonly since: number; readonly limit: number };
  /** At least one: a change and its log entry are one write. The id of the first entry identifies the change. */
  readonly entries: readonly [NewEntry, ...NewEntry[]];
};

/** A change without log entry, for kinds that hold no decision and no authority. */
export type UnloggedChange = {
  readonly writes: readonly Write<UnloggedKind>[];
  readonly notOnOrAfter?: number;
};

/** `committed`: durable. `conflict`: a guard did not hold, and nothing was written. */
export type Outcome = "committed" | "conflict";

/** A log entry: its exact bytes, and the texts that were not erased. */
export type LoggedEntry = {
  readonly index: number;
  readonly line: string;
  readonly texts: NewEntry["texts"];
};

export interface Log {
  /** Returns the number of sequenced entries. */
  size(): MaybePromise<number>;
  entries(from: number, limit: number): MaybePromise<readonly LoggedEntry[]>;
  /**
   * Returns the newest entries, of one request or of all, newest first. Entries that are not sequenced yet have index
   * -1.
   */
  newest(limit: number, request?: string): MaybePromise<readonly LoggedEntry[]>;
  /** Returns true if the entry was committed. Resolves the outcome of a commit whose response was lost. */
  hasEntry(entryId: string): MaybePromise<boolean>;
  root(size: number): MaybePromise<Hash>;
  inclusion(index: number, size: number): MaybePromise<readonly Hash[]>;
  consistency(oldSize: number, size: number): MaybePromise<readonly Hash[]>;
  /** Assigns indexes to up to `limit` entries in order of arrival. Returns the new size. */
  sequence(limit: number): Promise<number>;
  storeCheckpoint(size: number, note: string): Promise<void>;
  checkpoints(): MaybePromise<readonly { readonly size: number; readonly note: string }[]>;
  newestCheckpoint(): MaybePromise<{ readonly size: number; readonly note: string } | undefined>;
  /** Erases the personal texts of one entry permanently. Its line, which holds only commitments, is unchanged. */
  eraseTexts(entryId: string): Promise<void>;
}

/** Sent to watchers once a change of a request is durable. Undefined: another process changed something unknown. */
export type ChangeEvent =
  | {
      readonly requestId: string;
      readonly candidates: readonly string[];
      readonly state: RequestState;
      readonly delivery: DeliveryMode;
      /** Set if another process wrote the change; that process runs the follow-up work. */
      readonly remote?: true;
    }
  | undefined;

/** Up to `limit` records, longest due first; or those of `ids` that are due. */
export type ClaimFilter = { readonly limit: number } | { readonly ids: readonly string[] };

/** Stored status of a request; `getRequestState` applies expiry. */
export type PollState = {
  readonly agent: string;
  readonly state: RequestState;
  readonly expiresAt: number;
};

/** An agent and a request, of this agent or another; missing ones are left out. */
export type AgentAndStatus = { readonly agent?: Versioned<"agent">; readonly request?: PollState };

export interface Store {
  /** Returns the store's time, in milliseconds since the epoch. */
  now(): number;

  read<K extends Kind>(kind: K, id: string): MaybePromise<Versioned<K> | undefined>;
  /** Returns all records of a kind, by id. For kinds with few records: agents, APIs, approvers, keys, denials. */
  list<K extends Kind>(kind: K): MaybePromise<readonly Versioned<K>[]>;
  /** Returns up to `limit` records that are due at `now`, longest due first. */
  due<K extends Kind>(kind: K, now: number, limit: number): MaybePromise<readonly Versioned<K>[]>;
  /**
   * Returns the kinds with a due record by the store's clock, and `log` if entries wait for an index or a checkpoint.
   * One query, because most job runs find nothing.
   */
  listPendingKinds(): MaybePromise<ReadonlySet<Kind | "log">>;

  /** Returns the status of a request without reading its body. */
  readStatus(requestId: string): MaybePromise<PollState | undefined>;
  /** Returns an agent and the status of a request in one query. Without the agent, the request is left out. */
  readAgentAndStatus(agentId: string, requestId: string): MaybePromise<AgentAndStatus>;
  /** Returns which of these requests are not pending: decided, over or unknown. */
  findNotPending(requestIds: readonly string[]): MaybePromise<readonly string[]>;
  findApproverByEmail(email: string): MaybePromise<Versioned<"approver"> | undefined>;
  listDevicesOf(approverId: string): MaybePromise<readonly Device[]>;
  /** Returns all contacts of an approver, of every channel, disabled ones too. Ordered by id. */
  listContactsOf(approverId: string): MaybePromise<readonly Versioned<"contact">[]>;
  listSessionsOn(deviceId: string): MaybePromise<readonly Versioned<"session">[]>;
  /**
   * Returns the pending requests that this approver may decide, oldest first. The caller filters out expired ones.
   */
  listPendingFor(approverId: string): MaybePromise<readonly ApprovalRequest[]>;
  listDecidedBy(approverId: string, limit: number): MaybePromise<readonly ApprovalRequest[]>;
  /** Newest first. `state` is the stored state; `getRequestState` applies expiry. */
  listRequests(filter: {
    readonly state?: RequestState;
    readonly limit: number;
  }): MaybePromise<readonly ApprovalRequest[]>;
  /** Returns the number of the agent's requests that are pending and not expired at `now`. */
  countPending(agentId: string, now: number): MaybePromise<number>;
  /** Returns the creation times of requests that are pending and not expired at `now`, oldest first. */
  listPendingCreatedAt(now: number, limit: number): MaybePromise<readonly number[]>;
  /** Returns the number of requests that the agent created at or after `since`. */
  countCreatedSince(agentId: string, since: number): MaybePromise<number>;
  /** Returns the queued messages that report the end of this request once it has ended. */
  listMessagesAwaiting(requestId: string): MaybePromise<readonly Versioned<"message">[]>;
  /** Newest first. */
  listAbandonedMessages(limit: number): MaybePromise<readonly Records["message"][]>;
  /** Newest first. */
  listAbandonedCallbacks(limit: number): MaybePromise<readonly Records["callback"][]>;

  commit(change: Change): Promise<Outcome>;
  commitUnlogged(change: UnloggedChange): Promise<Outcome>;
  /**
   * Leases due records by the store's clock. Each returned record belongs to the caller alone until its lease ends;
   * then it is due again. Concurrent claims get disjoint records and do not wait for each other.
   */
  claim<K extends LeasedKind>(kind: K, filter: ClaimFilter): Promise<readonly Versioned<K>[]>;

  readonly log: Log;
  /**
   * Calls `listener` after durable changes of requests, in this process or another. Returns a function that ends the
   * subscription.
   */
  watch(listener: (event: ChangeEvent) => void): () => void;
  /** Waits until queued writes are done, then closes files and connections. */
  close(): Promise<void>;
}
