/**
 * The registry of record kinds. To add one: declare it beside this file, name it here, and add the row that creates its
 * table to `store/migration/migrations.ts`; a fixture (`store/contract/fixture.ts`) only if a contract case needs one.
 */
import { actionTypeRecord } from "./action-type.ts";
import { callbackRecord } from "./callback.ts";
import { agentRecord, apiRecord } from "./client.ts";
import { contactRecord } from "./contact.ts";
import { dedupeKeyRecord } from "./dedupe-key.ts";
import type { RecordDefinition } from "./define-record.ts";
import { denialRecord } from "./denial.ts";
import { initialAccessTokenRecord } from "./initial-access-token.ts";
import { keyRecord } from "./key.ts";
import { messageRecord } from "./message.ts";
import {
  approverRecord,
  deviceRecord,
  invitationRecord,
  sessionRecord,
  userCodeAttemptsRecord,
} from "./people.ts";
import { replayRecord } from "./replay.ts";
import { requestRecord } from "./request.ts";
import { tokenRecord } from "./token.ts";

const registry = {
  agent: agentRecord,
  api: apiRecord,
  approver: approverRecord,
  contact: contactRecord,
  device: deviceRecord,
  invitation: invitationRecord,
  request: requestRecord,
  token: tokenRecord,
  denial: denialRecord,
  action_type: actionTypeRecord,
  key: keyRecord,
  dedupe_key: dedupeKeyRecord,
  session: sessionRecord,
  replay: replayRecord,
  message: messageRecord,
  callback: callbackRecord,
  initial_access_token: initialAccessTokenRecord,
  user_code_attempts: userCodeAttemptsRecord,
} as const;

type Registry = typeof registry;
export type Kind = keyof Registry;

/** The record type of each kind. */
export type Records = { readonly [K in Kind]: Parameters<Registry[K]["id"]>[0] };

type KindWith<O> = { [K in Kind]: Registry[K] extends O ? K : never }[Kind];

/** Kinds that may be written without a log entry: they hold no decision and no authority. */
export type UnloggedKind = KindWith<{ readonly logged: false }>;
/** Outbox kinds. Leased before each attempt, so that one node sends. */
export type LeasedKind = KindWith<{ readonly retention: "outbox" }>;
/** Kinds that the sweeper deletes when they are due, without a log entry. */
export type TransientKind = KindWith<{ readonly retention: "expires"; readonly logged: false }>;
/** Kinds whose end the sweeper writes, with a log entry. */
export type EndingKind = KindWith<{ readonly retention: "expires"; readonly logged: true }>;

export const definitions: { readonly [K in Kind]: RecordDefinition<Records[K]> } = registry;

export const kinds = Object.keys(registry) as Kind[];
/** Kinds with records that become due. */
export const timedKinds = kinds.filter((kind) => definitions[kind].retention !== "kept");
export const leasedKinds = kinds.filter(
  (kind): kind is LeasedKind => definitions[kind].retention === "outbox",
);
export const transientKinds = kinds.filter(
  (kind): kind is TransientKind => definitions[kind].retention === "expires" && !definitions[kind].logged,
);
/** Outbox kinds whose abandoned records the sweeper deletes when they are due. */
export const sweptOutboxKinds = leasedKinds.filter((kind) => definitions[kind].deletesAbandoned);
/** Kinds that the sweeper reads. */
export const sweptKinds: readonly Kind[] = [
  ...kinds.filter((kind) => definitions[kind].retention === "expires"),
  ...sweptOutboxKinds,
];
