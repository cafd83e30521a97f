/** Readers of records, one prepared statement each. `readStatus` reads columns only and parses no JSON. */
import {
  type AgentAndStatusRow,
  parseAgentAndStatus,
  parseRecord,
  parseVersioned,
  type RecordJson,
  type VersionedRow,
} from "../parse.ts";
import { buildSharedQueries } from "../query.ts";
import { type Kind, kinds, type LeasedKind, timedKinds } from "../record/records.ts";
import type { PollState, Store } from "../store.ts";
import type { Connection } from "./connection.ts";

type Readers = Omit<Store, "now" | "commit" | "commitUnlogged" | "claim" | "log" | "watch" | "close">;

const shared = buildSharedQueries({
  table: (name) => `"${name}"`,
  param: (n) => `?${n}`,
  orderedJoin: "CROSS JOIN",
});

/** SQL of the readers. Tests check that an index serves each statement. */
export const queries = {
  ...shared,
  listPendingKinds: [
    ...timedKinds.map(
      (kind) => `SELECT '${kind}' AS what WHERE EXISTS (SELECT 1 FROM "${kind}" WHERE due_at <= ?1)`,
    ),
    `SELECT 'log' WHERE EXISTS (SELECT 1 FROM log_entry WHERE leaf_index IS NULL)
      OR coalesce((SELECT max(leaf_index) + 1 FROM log_entry), 0) <> coalesce((SELECT max(size) FROM checkpoint), 0)`,
  ].join(" UNION ALL "),
};

/** Outbox records that are due and not leased. */
export const claimableSql = (kind: LeasedKind) =>
  `SELECT version, body FROM ${kind} WHERE due_at <= ? AND state = 'queued' ORDER BY due_at, id LIMIT ?`;

export function createReaders(connection: Connection, clock: () => number): Readers {
  const { prepare } = connection;
  const byKind = new Map(
    kinds.map((kind) => [
      kind,
      {
        read: prepare<VersionedRow>(queries.read(kind)),
        list: prepare<VersionedRow>(queries.list(kind)),
        due: prepare<VersionedRow>(queries.due(kind)),
      },
    ]),
  );
  const statementsOf = (kind: Kind) => byKind.get(kind)!;
  const listPendingKinds = prepare<{ what: Kind | "log" }>(queries.listPendingKinds);
  const status = prepare<PollState>(queries.status);
  const readAgentAndStatus = prepare<AgentAndStatusRow>(queries.readAgentAndStatus);
  const findApproverByEmail = prepare<VersionedRow>(queries.findApproverByEmail);
  const listDevicesOf = prepare<RecordJson>(queries.listDevicesOf);
  const listContactsOf = prepare<VersionedRow>(queries.listContactsOf);
  const listSessionsOn = prepare<VersionedRow>(queries.listSessionsOn);
  const listPendingFor = prepare<RecordJson>(queries.listPendingFor);
  const listDecidedBy = prepare<RecordJson>(queries.listDecidedBy);
  const listRequests = prepare<RecordJson>(queries.listRequests);
  const listRequestsInState = prepare<RecordJson>(queries.listRequestsInState);
  const countPending = prepare<{ count: number }>(queries.countPending);
  const listPendingCreatedAt = prepare<{ at: number }>(queries.listPendingCreatedAt);
  const countCreatedSince = prepare<{ count: number }>(queries.countCreatedSince);
  const listMessagesAwaiting = prepare<VersionedRow>(queries.listMessagesAwaiting);
  const listAbandonedMessages = prepare<RecordJson>(queries.listAbandonedMessages);
  const listAbandonedCallbacks = prepare<RecordJson>(queries.listAbandonedCallbacks);

  return {
    read: (kind, id) => {
      const row = statementsOf(kind).read.get(id);
      return row && parseVersioned(kind, row, id);
    },
    list: (kind) =>
      statementsOf(kind)
        .list.all()
        .map((row) => parseVersioned(kind, row)),
    due: (kind, now, limit) =>
      statementsOf(kind)
        .due.all(now, limit)
        .map((row) => parseVersioned(kind, row)),
    listPendingKinds: () => new Set(listPendingKinds.all(clock()).map(({ what }) => what)),
    readStatus: (requestId) => {
      const row = status.get(requestId);
      return row && { ...row };
    },
    readAgentAndStatus: (agentId, requestId) =>
      parseAgentAndStatus(agentId, readAgentAndStatus.get(agentId, requestId)),
    findApproverByEmail: (email) => {
      const row = findApproverByEmail.get(email);
      return row && parseVersioned("approver", row);
    },
    listDevicesOf: (approverId) => listDevicesOf.all(approverId).map((row) => parseRecord("device", row)),
    listContactsOf: (approverId) =>
      listContactsOf.all(approverId).map((row) => parseVersioned("contact", row)),
    listSessionsOn: (deviceId) => listSessionsOn.all(deviceId).map((row) => parseVersioned("session", row)),
    listPendingFor: (approverId) => listPendingFor.all(approverId).map((row) => parseRecord("request", row)),
    listDecidedBy: (approverId, limit) =>
      listDecidedBy.all(approverId, limit).map((row) => parseRecord("request", row)),
    findNotPending: (ids) => ids.filter((id) => status.get(id)?.state !== "pending"),
    listRequests: ({ state, limit }) =>
      (state === undefined ? listRequests.all(limit) : listRequestsInState.all(state, limit)).map((row) =>
        parseRecord("request", row),
      ),
    countPending: (agentId, now) => countPending.get(agentId, now)!.count,
    listPendingCreatedAt: (now, limit) => listPendingCreatedAt.all(now, limit).map(({ at }) => at),
    countCreatedSince: (agentId, since) => countCreatedSince.get(agentId, since)!.count,
    listMessagesAwaiting: (requestId) =>
      listMessagesAwaiting.all(requestId).map((row) => parseVersioned("message", row)),
    listAbandonedMessages: (limit) =>
      listAbandonedMessages.all(limit).map((row) => parseRecord("message", row)),
    listAbandonedCallbacks: (limit) =>
      listAbandonedCallbacks.all(limit).map((row) => parseRecord("callback", row)),
  };
}
