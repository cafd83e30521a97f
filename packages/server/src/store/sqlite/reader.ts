/**
 * Everything that is read of records, each reader one statement that an index answers. Records are plain values, read
 * from their JSON; `standing` reads columns only.
 */
import {
  type AgentAndStatusRow,
  parseAgentAndStatus,
  parseRecord,
  parseVersioned,
  type RecordJson,
  type VersionedRow,
} from "../parse.ts";
import { type Kind, type LeasedKind, tables, timedKinds } from "../record.ts";
import type { PollState, Store } from "../store.ts";
import type { Connection } from "./connection.ts";

type Readers = Omit<Store, "now" | "commit" | "commitUnlogged" | "claim" | "log" | "watch" | "close">;

const claimable = (kind: LeasedKind) =>
  `SELECT version, body FROM ${kind} WHERE due_at <= ? AND state = 'waiting' ORDER BY due_at, id LIMIT ?`;

/** Every statement that reads records; the tests hold each of them to an index. */
export const queries = {
  read: (kind: Kind) => `SELECT version, body FROM "${kind}" WHERE id = ?`,
  list: (kind: Kind) => `SELECT version, body FROM "${kind}" ORDER BY id`,
  due: (kind: Kind) => `SELECT version, body FROM "${kind}" WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`,
  listPendingKinds: [
    ...timedKinds.map(
      (kind) => `SELECT '${kind}' AS what WHERE EXISTS (SELECT 1 FROM "${kind}" WHERE due_at <= ?1)`,
    ),
    `SELECT 'log' WHERE EXISTS (SELECT 1 FROM log_entry WHERE leaf_index IS NULL)
      OR coalesce((SELECT max(leaf_index) + 1 FROM log_entry), 0) <> coalesce((SELECT max(size) FROM checkpoint), 0)`,
  ].join(" UNION ALL "),
  claimableMessages: claimable("message"),
  claimableCallbacks: claimable("callback"),
  status: "SELECT agent, state, expires_at AS expiresAt FROM request WHERE id = ?",
  readAgentAndStatus: `SELECT held.version, held.body, request.agent, request.state, request.expires_at AS expiresAt
    FROM agent AS held LEFT JOIN request ON request.id = ?2 WHERE held.id = ?1`,
  findApproverByEmail: "SELECT body FROM approver WHERE email = ?",
  listDevicesOf: "SELECT body FROM device WHERE approver = ? ORDER BY id",
  listSessionsOn: "SELECT version, body FROM session WHERE device = ? ORDER BY id",
  listPendingFor: `SELECT body FROM waiting CROSS JOIN request ON id = waiting.request
    WHERE waiting.approver = ? ORDER BY waiting.request`,
  listDecidedBy: "SELECT body FROM request WHERE decided_by = ? ORDER BY id DESC LIMIT ?",
  listRequests: "SELECT body FROM request ORDER BY id DESC LIMIT ?",
  listRequestsInState: "SELECT body FROM request WHERE state = ? ORDER BY id DESC LIMIT ?",
  countPending:
    "SELECT count(*) AS waiting FROM request WHERE agent = ? AND state = 'pending' AND expires_at > ?",
  listPendingCreatedAt:
    "SELECT created_at AS at FROM request WHERE state = 'pending' AND expires_at > ? ORDER BY id LIMIT ?",
  countCreatedSince: "SELECT count(*) AS asked FROM request WHERE agent = ? AND created_at >= ?",
  listAbandonedMessages: "SELECT body FROM message WHERE state = 'given_up' ORDER BY id DESC LIMIT ?",
  listAbandonedCallbacks: "SELECT body FROM callback WHERE state = 'given_up' ORDER BY id DESC LIMIT ?",
};

export function createReaders(connection: Connection, clock: () => number): Readers {
  const { prepare } = connection;
  const kinds = Object.keys(tables) as Kind[];
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
  const findApproverByEmail = prepare<RecordJson>(queries.findApproverByEmail);
  const listDevicesOf = prepare<RecordJson>(queries.listDevicesOf);
  const listSessionsOn = prepare<VersionedRow>(queries.listSessionsOn);
  const listPendingFor = prepare<RecordJson>(queries.listPendingFor);
  const listDecidedBy = prepare<RecordJson>(queries.listDecidedBy);
  const listRequests = prepare<RecordJson>(queries.listRequests);
  const listRequestsInState = prepare<RecordJson>(queries.listRequestsInState);
  const countPending = prepare<{ waiting: number }>(queries.countPending);
  const listPendingCreatedAt = prepare<{ at: number }>(queries.listPendingCreatedAt);
  const countCreatedSince = prepare<{ asked: number }>(queries.countCreatedSince);
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
    findApproverByEmail: (email) =>
      findApproverByEmail.all(email).map((row) => parseRecord("approver", row))[0],
    listDevicesOf: (approverId) => listDevicesOf.all(approverId).map((row) => parseRecord("device", row)),
    listSessionsOn: (deviceId) => listSessionsOn.all(deviceId).map((row) => parseVersioned("session", row)),
    listPendingFor: (approverId) => listPendingFor.all(approverId).map((row) => parseRecord("request", row)),
    listDecidedBy: (approverId, limit) =>
      listDecidedBy.all(approverId, limit).map((row) => parseRecord("request", row)),
    findNotPending: (ids) => ids.filter((id) => status.get(id)?.state !== "pending"),
    listRequests: ({ state, limit }) =>
      (state === undefined ? listRequests.all(limit) : listRequestsInState.all(state, limit)).map((row) =>
        parseRecord("request", row),
      ),
    countPending: (agentId, now) => countPending.get(agentId, now)!.waiting,
    listPendingCreatedAt: (now, limit) => listPendingCreatedAt.all(now, limit).map(({ at }) => at),
    countCreatedSince: (agentId, since) => countCreatedSince.get(agentId, since)!.asked,
    listAbandonedMessages: (limit) =>
      listAbandonedMessages.all(limit).map((row) => parseRecord("message", row)),
    listAbandonedCallbacks: (limit) =>
      listAbandonedCallbacks.all(limit).map((row) => parseRecord("callback", row)),
  };
}
