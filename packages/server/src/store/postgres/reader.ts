/**
 * Everything that is read of records, each reader one statement that an index answers. Records are plain values, read
 * from their JSON; `standing` reads columns only.
 */
import { type Body, type HeldRow, type PolledRow, parseHeld, parsePolled, parseRecord } from "../parse.ts";
import { type Kind, type Records, tables, timedKinds } from "../record.ts";
import type { Standing, Store } from "../store.ts";
import { databaseNow } from "./clock.ts";
import type { Pool } from "./connection.ts";

type Readers = Omit<Store, "now" | "commit" | "pass" | "claim" | "log" | "watch" | "close">;

/** Every statement that reads records; the tests hold each of them to an index. */
export function queriesIn(schema: string) {
  const of = (kind: Kind) => `${schema}."${kind}"`;
  return {
    read: (kind: Kind) => `SELECT version, body FROM ${of(kind)} WHERE id = $1`,
    list: (kind: Kind) => `SELECT version, body FROM ${of(kind)} ORDER BY id`,
    due: (kind: Kind) =>
      `SELECT version, body FROM ${of(kind)} WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`,
    outstanding: [
      ...timedKinds.map(
        (kind) => `SELECT '${kind}' AS what
          WHERE EXISTS (SELECT 1 FROM ${of(kind)} WHERE due_at <= (SELECT ${databaseNow}))`,
      ),
      `SELECT 'log' WHERE EXISTS (SELECT 1 FROM ${schema}.log_entry WHERE leaf_index IS NULL)
        OR coalesce((SELECT max(leaf_index) + 1 FROM ${schema}.log_entry), 0)
          <> coalesce((SELECT max(size) FROM ${schema}.checkpoint), 0)`,
    ].join(" UNION ALL "),
    standing: `SELECT agent, state, expires_at AS "expiresAt" FROM ${of("approval")} WHERE id = $1`,
    notPending: `SELECT asked.id FROM unnest($1::text[]) AS asked (id)
      WHERE NOT EXISTS (SELECT 1 FROM ${of("approval")} AS found WHERE found.id = asked.id AND state = 'pending')`,
    polling: `SELECT held.version, held.body, approval.agent, approval.state, approval.expires_at AS "expiresAt"
      FROM ${of("agent")} AS held LEFT JOIN ${of("approval")} AS approval ON approval.id = $2 WHERE held.id = $1`,
    approverByEmail: `SELECT body FROM ${of("approver")} WHERE email = $1`,
    devicesOf: `SELECT body FROM ${of("device")} WHERE approver = $1 ORDER BY id`,
    sessionsOn: `SELECT version, body FROM ${of("session")} WHERE device = $1 ORDER BY id`,
    waitingFor: `SELECT body FROM ${schema}.waiting JOIN ${of("approval")} ON id = waiting.approval
      WHERE waiting.approver = $1 ORDER BY waiting.approval`,
    decidedBy: `SELECT body FROM ${of("approval")} WHERE decided_by = $1 ORDER BY id DESC LIMIT $2`,
    requests: `SELECT body FROM ${of("approval")} ORDER BY id DESC LIMIT $1`,
    requestsIn: `SELECT body FROM ${of("approval")} WHERE state = $1 ORDER BY id DESC LIMIT $2`,
    waitingOf: `SELECT count(*) AS count FROM ${of("approval")}
      WHERE agent = $1 AND state = 'pending' AND expires_at > $2`,
    waitingSince: `SELECT created_at AS at FROM ${of("approval")}
      WHERE state = 'pending' AND expires_at > $1 ORDER BY id LIMIT $2`,
    askedSince: `SELECT count(*) AS count FROM ${of("approval")} WHERE agent = $1 AND created_at >= $2`,
    undelivered: `SELECT body FROM ${of("message")} WHERE state = 'given_up' ORDER BY id DESC LIMIT $1`,
    unansweredCallbacks: `SELECT body FROM ${of("callback")} WHERE state = 'given_up' ORDER BY id DESC LIMIT $1`,
  };
}

export function readers({ run }: Pool, schema: string): Readers {
  const queries = queriesIn(schema);
  const kinds = Object.keys(tables) as Kind[];
  const byKind = new Map(
    kinds.map((kind) => [
      kind,
      { read: queries.read(kind), list: queries.list(kind), due: queries.due(kind) },
    ]),
  );
  const of = (kind: Kind) => byKind.get(kind)!;
  const bodies = async <K extends Kind>(
    kind: K,
    sql: string,
    ...values: (string | number)[]
  ): Promise<Records[K][]> => (await run<Body>(sql, ...values)).map((row) => parseRecord(kind, row));
  const count = async (sql: string, ...values: (string | number)[]): Promise<number> =>
    (await run<{ count: number }>(sql, ...values))[0]!.count;

  return {
    read: async (kind, id) => {
      if (!isKeepable(id)) return undefined;
      const [row] = await run<HeldRow>(of(kind).read, id);
      return row && parseHeld(kind, row, id);
    },
    list: async (kind) => (await run<HeldRow>(of(kind).list)).map((row) => parseHeld(kind, row)),
    due: async (kind, now, limit) =>
      (await run<HeldRow>(of(kind).due, now, limit)).map((row) => parseHeld(kind, row)),
    standing: async (approvalId) => (await run<Standing>(queries.standing, approvalId))[0],
    polling: async (agentId, approvalId) =>
      parsePolled(
        agentId,
        isKeepable(agentId) ? (await run<PolledRow>(queries.polling, agentId, approvalId))[0] : undefined,
      ),
    outstanding: async () =>
      new Set((await run<{ what: Kind | "log" }>(queries.outstanding)).map(({ what }) => what)),
    notPending: async (approvalIds) =>
      (await run<{ id: string }>(queries.notPending, [...approvalIds])).map(({ id }) => id),
    approverByEmail: async (email) => (await bodies("approver", queries.approverByEmail, email))[0],
    devicesOf: (approverId) => bodies("device", queries.devicesOf, approverId),
    sessionsOn: async (deviceId) =>
      (await run<HeldRow>(queries.sessionsOn, deviceId)).map((row) => parseHeld("session", row)),
    waitingFor: (approverId) => bodies("approval", queries.waitingFor, approverId),
    decidedBy: (approverId, limit) => bodies("approval", queries.decidedBy, approverId, limit),
    requests: ({ state, limit }) =>
      state === undefined
        ? bodies("approval", queries.requests, limit)
        : bodies("approval", queries.requestsIn, state, limit),
    waitingOf: (agentId, now) => count(queries.waitingOf, agentId, now),
    waitingSince: async (now, limit) =>
      (await run<{ at: number }>(queries.waitingSince, now, limit)).map(({ at }) => at),
    askedSince: (agentId, since) => count(queries.askedSince, agentId, since),
    undelivered: (limit) => bodies("message", queries.undelivered, limit),
    unansweredCallbacks: (limit) => bodies("callback", queries.unansweredCallbacks, limit),
  };
}

/** PostgreSQL keeps no text with a NUL, and takes none as a question either. */
function isKeepable(id: string): boolean {
  return !id.includes("\0");
}
