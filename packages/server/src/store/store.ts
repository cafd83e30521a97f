/**
 * Where things are kept. Readers by name, and one way to write: a `Change`, which carries its guards, its records,
 * its outgoing messages and its log entries, and happens whole or not at all. Many processes may share one store;
 * nothing here assumes that it is alone. It never decides anything: guards say what was read, and `commit` says
 * whether that still held.
 */
import type { Entry, Hash, RequestState } from "@countersign/protocol";
import type { Approval } from "../approval/approval.ts";
import type { Approver, Device } from "../approver/approver.ts";
import type { DeliveryMode } from "../client/client.ts";
import type { Kind, LeasedKind, PassingKind, Records } from "./record.ts";

export type Awaitable<T> = T | Promise<T>;

/** A record as it was read, with the version that a later write must still find. */
export type Held<K extends Kind> = { readonly record: Records[K]; readonly version: number };

/** Version 0 stands for "is not there". */
export const absent = 0;

/** One record's part of a change. `expect` is the version that was read; another one there now is a conflict. */
export type Write<K extends Kind = Kind> = {
  [P in K]:
    | { readonly put: P; readonly record: Records[P]; readonly expect: number }
    | { readonly drop: P; readonly id: string; readonly expect: number }
    | { readonly check: P; readonly id: string; readonly expect: number };
}[K];

/** A log entry on its way in, with the personal text that its commitments stand for. The text can be erased later. */
export type NewEntry = {
  readonly entry: Entry;
  readonly texts: { readonly [name: string]: { readonly text: string; readonly salt: string } };
};

export type Change = {
  readonly writes: readonly Write[];
  /** Milliseconds since the epoch. A conflict unless the store's own clock, inside the commit, is before it. */
  readonly before?: number;
  /** A conflict unless, inside the commit, this agent has fewer requests pending. */
  readonly fewerWaiting?: { readonly agent: string; readonly than: number };
  /** A conflict unless, inside the commit, this agent has fewer requests created at or after `since`. */
  readonly fewerAsked?: { readonly agent: string; readonly since: number; readonly than: number };
  /** Never empty: a change and its log entry are one write. The first entry's id is the change's id. */
  readonly entries: readonly [NewEntry, ...NewEntry[]];
};

/** A write that holds no decision and no authority, and so needs no log entry. */
export type PassingChange = { readonly writes: readonly Write<PassingKind>[]; readonly before?: number };

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
  size(): Awaitable<number>;
  entries(from: number, limit: number): Awaitable<readonly LoggedEntry[]>;
  /** The newest entries about one request, or of all, newest first; those not yet sequenced have index -1. */
  newest(limit: number, request?: string): Awaitable<readonly LoggedEntry[]>;
  /** True if the entry with this id was committed: answers what became of a commit whose answer was lost. */
  holds(entryId: string): Awaitable<boolean>;
  root(size: number): Awaitable<Hash>;
  inclusion(index: number, size: number): Awaitable<readonly Hash[]>;
  consistency(oldSize: number, size: number): Awaitable<readonly Hash[]>;
  /** Gives up to `limit` waiting entries their index, in order of arrival, and answers the new size. */
  sequence(limit: number): Promise<number>;
  keepCheckpoint(size: number, note: string): Promise<void>;
  checkpoints(): Awaitable<readonly { readonly size: number; readonly note: string }[]>;
  newestCheckpoint(): Awaitable<{ readonly size: number; readonly note: string } | undefined>;
  /** Erases the personal text of one entry for good. Its line, which holds only commitments, stays as it is. */
  eraseTexts(entryId: string): Promise<void>;
}

/** What a watcher is told after a change of a request is durable. Undefined: something changed in another process. */
export type Wake =
  | {
      readonly approval: string;
      readonly candidates: readonly string[];
      readonly state: RequestState;
      readonly delivery: DeliveryMode;
      /** Another process wrote it, and does what there is to do about it. */
      readonly elsewhere?: true;
    }
  | undefined;

/** So many that are due, the longest due first; or those of these that are. */
export type Wanted = { readonly limit: number } | { readonly ids: readonly string[] };

/** How a request stands, as written; see `stateAt` for what the clock makes of it. */
export type Standing = {
  readonly agent: string;
  readonly state: RequestState;
  readonly expiresAt: number;
};

/** An agent, and a request of whatever agent: what is not there is left out. */
export type Polling = { readonly agent?: Held<"agent">; readonly standing?: Standing };

export interface Store {
  /** The store's clock, in milliseconds since the epoch. */
  now(): number;

  read<K extends Kind>(kind: K, id: string): Awaitable<Held<K> | undefined>;
  /** Every record of a kind of which there are few: agents, APIs, approvers, keys, latches. Ordered by id. */
  list<K extends Kind>(kind: K): Awaitable<readonly Held<K>[]>;
  /** Records about which the clock has something to say at `now`, the longest due first. */
  due<K extends Kind>(kind: K, now: number, limit: number): Awaitable<readonly Held<K>[]>;
  /**
   * What there is something to do about by the store's clock: kinds with a record that is due, and the log where entries
   * wait for their index or for a checkpoint. One question, for rounds that mostly find nothing.
   */
  outstanding(): Awaitable<ReadonlySet<Kind | "log">>;

  /** The little that a poll needs, without reading the rest. */
  standing(approvalId: string): Awaitable<Standing | undefined>;
  /** Both that a poll needs, in one statement. A request is found only together with an agent. */
  polling(agentId: string, approvalId: string): Awaitable<Polling>;
  /** Which of these requests are not pending: answered, over or not there. For many at once. */
  notPending(approvalIds: readonly string[]): Awaitable<readonly string[]>;
  approverByEmail(email: string): Awaitable<Approver | undefined>;
  devicesOf(approverId: string): Awaitable<readonly Device[]>;
  sessionsOn(deviceId: string): Awaitable<readonly Held<"session">[]>;
  /** Pending requests that this approver may decide, oldest first; the caller leaves out those past their time. */
  waitingFor(approverId: string): Awaitable<readonly Approval[]>;
  decidedBy(approverId: string, limit: number): Awaitable<readonly Approval[]>;
  /** Newest first. `state` is the state as written; see `stateAt` for what the clock makes of it. */
  requests(filter: { readonly state?: RequestState; readonly limit: number }): Awaitable<readonly Approval[]>;
  /** How many of an agent's requests are pending and not past their time at `now`. */
  waitingOf(agentId: string, now: number): Awaitable<number>;
  /** When the requests were created that are pending and not past their time at `now`, oldest first. */
  waitingSince(now: number, limit: number): Awaitable<readonly number[]>;
  /** How many requests an agent has had created at or after `since`. */
  askedSince(agentId: string, since: number): Awaitable<number>;
  /** Messages that were given up, newest first. */
  undelivered(limit: number): Awaitable<readonly Records["message"][]>;
  /** Callbacks that were given up, newest first. */
  unansweredCallbacks(limit: number): Awaitable<readonly Records["callback"][]>;

  commit(change: Change): Promise<Outcome>;
  pass(change: PassingChange): Promise<Outcome>;
  /**
   * Leases records that are due, by the store's clock: as they are answered they are the caller's alone, until the lease
   * ends and they are due again. Of several who claim at once each record goes to one, and nobody waits for another.
   */
  claim<K extends LeasedKind>(kind: K, wanted: Wanted): Promise<readonly Held<K>[]>;

  readonly log: Log;
  /** Calls back after durable changes of requests, in this process or another. Answers how to stop. */
  watch(listener: (wake: Wake) => void): () => void;
  /** Waits for what was asked to be written, then lets go of the files. */
  close(): Promise<void>;
}
