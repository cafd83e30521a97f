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
import { type Kind, type Records, tables, timedKinds } from "../record.ts";
import type { PollState, Store } from "../store.ts";
import { databaseNow } from "./clock.ts";
import type { Pool } from "./pool.ts";

type Readers = Omit<Store, "now" | "commit" | "commitUnlogged" | "claim" | "log" | "watch" | "close">;

/** Every statement that reads records; the tests hold each of them to an index. */
export function buildQueries(schema: string) {
  const tableName = (kind: Kind) => `${schema}."${kind}"`;
  return {
    read: (kind: Kind) => `SELECT version, body FROM ${tableName(kind)} WHERE id = $1`,
    list: (kind: Kind) => `SELECT version, body FROM ${tableName(kind)} ORDER BY id`,
    due: (kind: Kind) =>
      `SELECT version, body FROM ${tableName(kind)} WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`,
    listPendingKinds: [
      ...timedKinds.map(
        (kind) => `SELECT '${kind}' AS what
          WHERE EXISTS (SELECT 1 FROM ${tableName(kind)} WHERE due_at <= (SELECT ${databaseNow}))`,
      ),
      `SELECT 'log' WHERE EXISTS (SELECT 1 FROM ${schema}.log_entry WHERE leaf_index IS NULL)
        OR coalesce((SELECT max(leaf_index) + 1 FROM ${schema}.log_entry), 0)
          <> coalesce((SELECT max(size) FROM ${schema}.checkpoint), 0)`,
    ].join(" UNION ALL "),
    status: `SELECT agent, state, expires_at AS "expiresAt" FROM ${tableName("request")} WHERE id = $1`,
    findNotPending: `SELECT asked.id FROM unnest($1::text[]) AS asked (id)
      WHERE NOT EXISTS (SELECT 1 FROM ${tableName("request")} AS found WHERE found.id = asked.id AND state = 'pending')`,
    readAgentAndStatus: `SELECT held.version, held.body, request.agent, request.state, request.expires_at AS "expiresAt"
      FROM ${tableName("agent")} AS held LEFT JOIN ${tableName("request")} AS request ON request.id = $2 WHERE held.id = $1`,
    findApproverByEmail: `SELECT body FROM ${tableName("approver")} WHERE email = $1`,
    listDevicesOf: `SELECT body FROM ${tableName("device")} WHERE approver = $1 ORDER BY id`,
    listSessionsOn: `SELECT version, body FROM ${tableName("session")} WHERE device = $1 ORDER BY id`,
    listPendingFor: `SELECT body FROM ${schema}.waiting JOIN ${tableName("request")} ON id = waiting.request
      WHERE waiting.approver = $1 ORDER BY waiting.request`,
    listDecidedBy: `SELECT body FROM ${tableName("request")} WHERE decided_by = $1 ORDER BY id DESC LIMIT $2`,
    listRequests: `SELECT body FROM ${tableName("request")} ORDER BY id DESC LIMIT $1`,
    listRequestsInState: `SELECT body FROM ${tableName("request")} WHERE state = $1 ORDER BY id DESC LIMIT $2`,
    countPending: `SELECT count(*) AS count FROM ${tableName("request")}
      WHERE agent = $1 AND state = 'pending' AND expires_at > $2`,
    listPendingCreatedAt: `SELECT created_at AS at FROM ${tableName("request")}
      WHERE state = 'pending' AND expires_at > $1 ORDER BY id LIMIT $2`,
    countCreatedSince: `SELECT count(*) AS count FROM ${tableName("request")} WHERE agent = $1 AND created_at >= $2`,
    listAbandonedMessages: `SELECT body FROM ${tableName("message")} WHERE state = 'given_up' ORDER BY id DESC LIMIT $1`,
    listAbandonedCallbacks: `SELECT body FROM ${tableName("callback")} WHERE state = 'given_up' ORDER BY id DESC LIMIT $1`,
  };
}

export function createReaders({ run }: Pool, schema: string): Readers {
  const queries = buildQueries(schema);
  const kinds = Object.keys(tables) as Kind[];
  const byKind = new Map(
    kinds.map((kind) => [
      kind,
      { read: queries.read(kind), list: queries.list(kind), due: queries.due(kind) },
    ]),
  );
  const statementsOf = (kind: Kind) => byKind.get(kind)!;
  const bodies = async <K extends Kind>(
    kind: K,
    sql: string,
    ...values: (string | number)[]
  ): Promise<Records[K][]> => (await run<RecordJson>(sql, ...values)).map((row) => parseRecord(kind, row));
  const count = async (sql: string, ...values: (string | number)[]): Promise<number> =>
    (await run<{ count: number }>(sql, ...values))[0]!.count;

  return {
    read: async (kind, id) => {
      if (!isStorable(id)) return undefined;
      const [row] = await run<VersionedRow>(statementsOf(kind).read, id);
      return row && parseVersioned(kind, row, id);
    },
    list: async (kind) =>
      (await run<VersionedRow>(statementsOf(kind).list)).map((row) => parseVersioned(kind, row)),
    due: async (kind, now, limit) =>
      (await run<VersionedRow>(statementsOf(kind).due, now, limit)).map((row) => parseVersioned(kind, row)),
    readStatus: async (requestId) => (await run<PollState>(queries.status, requestId))[0],
    readAgentAndStatus: async (agentId, requestId) =>
      parseAgentAndStatus(
        agentId,
        isStorable(agentId)
          ? (await run<AgentAndStatusRow>(queries.readAgentAndStatus, agentId, requestId))[0]
          : undefined,
      ),
    listPendingKinds: async () =>
      new Set((await run<{ what: Kind | "log" }>(queries.listPendingKinds)).map(({ what }) => what)),
    findNotPending: async (requestIds) =>
      (await run<{ id: string }>(queries.findNotPending, [...requestIds])).map(({ id }) => id),
    findApproverByEmail: async (email) => (await bodies("approver", queries.findApproverByEmail, email))[0],
    listDevicesOf: (approverId) => bodies("device", queries.listDevicesOf, approverId),
    listSessionsOn: async (deviceId) =>
      (await run<VersionedRow>(queries.listSessionsOn, deviceId)).map((row) =>
        parseVersioned("session", row),
      ),
    listPendingFor: (approverId) => bodies("request", queries.listPendingFor, approverId),
    listDecidedBy: (approverId, limit) => bodies("request", queries.listDecidedBy, approverId, limit),
    listRequests: ({ state, limit }) =>
      state === undefined
        ? bodies("request", queries.listRequests, limit)
        : bodies("request", queries.listRequestsInState, state, limit),
    countPending: (agentId, now) => count(queries.countPending, agentId, now),
    listPendingCreatedAt: async (now, limit) =>
      (await run<{ at: number }>(queries.listPendingCreatedAt, now, limit)).map(({ at }) => at),
    countCreatedSince: (agentId, since) => count(queries.countCreatedSince, agentId, since),
    listAbandonedMessages: (limit) => bodies("message", queries.listAbandonedMessages, limit),
    listAbandonedCallbacks: (limit) => bodies("callback", queries.listAbandonedCallbacks, limit),
  };
}

/** PostgreSQL keeps no text with a NUL, and takes none as a question either. */
function isStorable(id: string): boolean {
  return !id.includes("\0");
}
