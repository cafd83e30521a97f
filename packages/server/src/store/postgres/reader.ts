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
import { type Kind, kinds, type Records, timedKinds } from "../record/records.ts";
import type { PollState, Store, Versioned } from "../store.ts";
import { databaseNow } from "./clock.ts";
import type { Pool } from "./pool.ts";

type Readers = Omit<Store, "now" | "commit" | "commitUnlogged" | "claim" | "log" | "watch" | "close">;

/** SQL of the readers. Tests check that an index serves each statement. */
export function buildQueries(schema: string) {
  const tableName = (name: string) => `${schema}."${name}"`;
  return {
    ...buildSharedQueries({ table: tableName, param: (n) => `$${n}`, orderedJoin: "JOIN" }),
    listPendingKinds: [
      ...timedKinds.map(
        (kind) => `SELECT '${kind}' AS what
          WHERE EXISTS (SELECT 1 FROM ${tableName(kind)} WHERE due_at <= (SELECT ${databaseNow}))`,
      ),
      `SELECT 'log' WHERE EXISTS (SELECT 1 FROM ${schema}.log_entry WHERE leaf_index IS NULL)
        OR coalesce((SELECT max(leaf_index) + 1 FROM ${schema}.log_entry), 0)
          <> coalesce((SELECT max(size) FROM ${schema}.checkpoint), 0)`,
    ].join(" UNION ALL "),
    findNotPending: `SELECT candidate.id FROM unnest($1::text[]) AS candidate (id)
      WHERE NOT EXISTS (SELECT 1 FROM ${tableName("request")} AS found WHERE found.id = candidate.id AND state = 'pending')`,
  };
}

export function createReaders({ run }: Pool, schema: string): Readers {
  const queries = buildQueries(schema);
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
  const versioned = async <K extends Kind>(
    kind: K,
    sql: string,
    ...values: (string | number)[]
  ): Promise<Versioned<K>[]> =>
    (await run<VersionedRow>(sql, ...values)).map((row) => parseVersioned(kind, row));
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
    findApproverByEmail: async (email) => {
      const [row] = await run<VersionedRow>(queries.findApproverByEmail, email);
      return row && parseVersioned("approver", row);
    },
    listDevicesOf: (approverId) => bodies("device", queries.listDevicesOf, approverId),
    listContactsOf: (approverId) => versioned("contact", queries.listContactsOf, approverId),
    listSessionsOn: (deviceId) => versioned("session", queries.listSessionsOn, deviceId),
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
    listMessagesAwaiting: (requestId) => versioned("message", queries.listMessagesAwaiting, requestId),
    listAbandonedMessages: (limit) => bodies("message", queries.listAbandonedMessages, limit),
    listAbandonedCallbacks: (limit) => bodies("callback", queries.listAbandonedCallbacks, limit),
  };
}

/** Returns false for ids with a NUL character, which PostgreSQL rejects in text and parameters. */
function isStorable(id: string): boolean {
  return !id.includes("\0");
}
