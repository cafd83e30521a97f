/**
 * What is kept, by kind: the record's shape, the id it is found by, the instant at which the clock has something to
 * say about it, and the few further columns that a named reader needs. Both engines build their tables from this
 * list, so that a kind is declared once.
 */
import type { JsonObject } from "@countersign/protocol";
import { type Callback, lease as leaseCallback } from "../domain/callback/callback.ts";
import type { Agent, Api } from "../domain/client/client.ts";
import type { Approver, Device, Invitation, Session } from "../domain/people/approver.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import { reservationTimeoutMs, type Token } from "../domain/token/token.ts";

/** A denied action: the same ask is refused until a person re-opens it, which drops the record. */
export type Denial = {
  readonly id: string;
  readonly agent: string;
  readonly type: string;
  readonly fields: JsonObject;
  readonly requestId: string;
  readonly deniedAt: number;
};

/** Which request an identical ask, or an idempotency key, leads back to. */
export type DedupeKey = {
  readonly id: string;
  readonly requestId: string;
  /** What the key was first used for; the same key for something else is refused. */
  readonly contentHash: string;
  readonly keptUntil: number;
};

/** An action type as it stood when it was published. Never changed, found by its hash. */
export type PublishedActionType = {
  readonly hash: string;
  readonly type: string;
  readonly definition: JsonObject;
  readonly publishedAt: number;
};

/** A key pair; the private half is encrypted under the key from outside the database. */
export type SealedKey = {
  readonly kid: string;
  readonly purpose: "token" | "log";
  readonly publicJwk: JsonObject;
  readonly sealedPrivateJwk: string;
  readonly activeAt: number;
};

/** Something good for one use that was used (a client assertion, a passkey ceremony), kept until it has expired anyway. */
export type Replay = { readonly id: string; readonly expiresAt: number };

/** Something that has to leave: at least once, with growing delay, and visible when it is given up. */
export type Message = {
  readonly id: string;
  readonly channel: string;
  readonly requestId: string;
  readonly approver: string;
  readonly attempts: number;
  readonly state: "waiting" | "sent" | "given_up";
  /** When the next attempt is due; while an attempt is under way, when its lease ends. */
  readonly dueAt: number;
  readonly lastError?: string;
};

/** Lets an agent register itself (RFC 7591 §3), found by the hash of the initial access token. */
export type InitialAccessToken = {
  readonly id: string;
  /** What cards call whoever registers by it. */
  readonly name: string;
  /** Action types that it may register for. */
  readonly types: readonly string[];
  readonly usesLeft: number;
  readonly createdAt: number;
  readonly expiresAt: number;
};

/** Wrong user codes given for one approver (CIBA §7.1), counted until `expiresAt`. */
export type UserCodeAttempts = { readonly id: string; readonly wrong: number; readonly expiresAt: number };

export type Records = {
  readonly agent: Agent;
  readonly api: Api;
  readonly approver: Approver;
  readonly device: Device;
  readonly invitation: Invitation;
  readonly request: ApprovalRequest;
  readonly token: Token;
  readonly denial: Denial;
  readonly action_type: PublishedActionType;
  readonly key: SealedKey;
  readonly dedupe_key: DedupeKey;
  readonly session: Session;
  readonly replay: Replay;
  readonly message: Message;
  readonly callback: Callback;
  readonly initial_access_token: InitialAccessToken;
  readonly user_code_attempts: UserCodeAttempts;
};
export type Kind = keyof Records;

/** Kinds that may be written without a log entry: they hold no decision and no authority. */
export const unloggedKinds = [
  "dedupe_key",
  "session",
  "replay",
  "message",
  "callback",
  "user_code_attempts",
] as const;
export type UnloggedKind = (typeof unloggedKinds)[number];

/** Kinds that leave at least once: claimed before each attempt, so that of several nodes one makes it. */
export type LeasedKind = "message" | "callback";

/** Longer than a mail server may take. */
const messageLeaseMs = 60_000;

/** What claiming makes of a record that is due; undefined for one that is not. */
export const leases: {
  readonly [K in LeasedKind]: (record: Records[K], now: number) => Records[K] | undefined;
} = {
  message: (message, now) =>
    message.state === "waiting" && message.dueAt <= now
      ? { ...message, attempts: message.attempts + 1, dueAt: now + messageLeaseMs }
      : undefined,
  callback: leaseCallback,
};

export type ColumnValue = string | number | null;
export type Table<R> = {
  readonly id: (record: R) => string;
  /** When the sweeper or the outbox should look at it again; null for never. */
  readonly dueAt: (record: R) => number | null;
  /** Further columns, for readers by name. */
  readonly columns: { readonly [name: string]: (record: R) => ColumnValue };
};

const never = () => null;

export const tables: { readonly [K in Kind]: Table<Records[K]> } = {
  agent: { id: (r) => r.id, dueAt: never, columns: {} },
  api: { id: (r) => r.id, dueAt: never, columns: {} },
  approver: { id: (r) => r.id, dueAt: never, columns: { email: (r) => r.email } },
  device: { id: (r) => r.id, dueAt: never, columns: { approver: (r) => r.approver } },
  invitation: { id: (r) => r.id, dueAt: (r) => r.expiresAt, columns: {} },
  request: {
    id: (r) => r.id,
    dueAt: (r) => (r.status.state === "pending" || r.status.state === "approved" ? r.expiresAt : null),
    columns: {
      agent: (r) => r.agent,
      state: (r) => r.status.state,
      created_at: (r) => r.createdAt,
      expires_at: (r) => r.expiresAt,
      decided_by: (r) => ("decision" in r.status ? r.status.decision.approver : null),
    },
  },
  token: {
    id: (r) => r.hash,
    dueAt: (r) => {
      if (r.state === "issued") return r.expiresAt;
      return r.state === "reserved" && r.spend ? r.spend.reservedAt + reservationTimeoutMs : null;
    },
    columns: {},
  },
  denial: { id: (r) => r.id, dueAt: never, columns: {} },
  action_type: { id: (r) => r.hash, dueAt: never, columns: {} },
  key: { id: (r) => r.kid, dueAt: never, columns: {} },
  dedupe_key: { id: (r) => r.id, dueAt: (r) => r.keptUntil, columns: {} },
  session: { id: (r) => r.id, dueAt: (r) => r.expiresAt, columns: { device: (r) => r.device } },
  replay: { id: (r) => r.id, dueAt: (r) => r.expiresAt, columns: {} },
  message: {
    id: (r) => r.id,
    dueAt: (r) => (r.state === "waiting" ? r.dueAt : null),
    columns: { state: (r) => r.state },
  },
  callback: {
    id: (r) => r.id,
    dueAt: (r) => (r.state === "silent" ? null : r.dueAt),
    columns: { state: (r) => r.state },
  },
  initial_access_token: { id: (r) => r.id, dueAt: (r) => r.expiresAt, columns: {} },
  user_code_attempts: { id: (r) => r.id, dueAt: (r) => r.expiresAt, columns: {} },
};

/** Kinds about which the clock has something to say. */
export const timedKinds = (Object.keys(tables) as Kind[]).filter((kind) => tables[kind].dueAt !== never);
