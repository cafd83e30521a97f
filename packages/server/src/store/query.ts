/**
 * SQL of the readers, shared by both engines. An index serves each statement; the tests of each engine check that.
 */
import type { Kind, LeasedKind } from "./record/records.ts";

export type QueryDialect = {
  /** The table's name, quoted, with its schema if the engine has one. */
  readonly table: (name: string) => string;
  /** Placeholder of the n-th parameter, counted from 1. */
  readonly param: (n: number) => string;
  /** `CROSS JOIN` makes SQLite join in the given order. */
  readonly orderedJoin: "CROSS JOIN" | "JOIN";
};

export function buildSharedQueries({ table, param, orderedJoin }: QueryDialect) {
  const [first, second] = [param(1), param(2)];
  const request = table("request");
  const abandoned = (kind: LeasedKind) =>
    `SELECT body FROM ${table(kind)} WHERE state = 'abandoned' ORDER BY id DESC LIMIT ${first}`;
  return {
    read: (kind: Kind) => `SELECT version, body FROM ${table(kind)} WHERE id = ${first}`,
    list: (kind: Kind) => `SELECT version, body FROM ${table(kind)} ORDER BY id`,
    due: (kind: Kind) =>
      `SELECT version, body FROM ${table(kind)} WHERE due_at <= ${first} ORDER BY due_at, id LIMIT ${second}`,
    status: `SELECT agent, state, expires_at AS "expiresAt" FROM ${request} WHERE id = ${first}`,
    readAgentAndStatus: `SELECT found.version, found.body, request.agent, request.state, request.expires_at AS "expiresAt"
      FROM ${table("agent")} AS found LEFT JOIN ${request} AS request ON request.id = ${second} WHERE found.id = ${first}`,
    findApproverByEmail: `SELECT version, body FROM ${table("approver")} WHERE email = ${first}`,
    listDevicesOf: `SELECT body FROM ${table("device")} WHERE approver = ${first} ORDER BY id`,
    listContactsOf: `SELECT version, body FROM ${table("contact")} WHERE approver = ${first} ORDER BY id`,
    listSessionsOn: `SELECT version, body FROM ${table("session")} WHERE device = ${first} ORDER BY id`,
    listPendingFor: `SELECT body FROM ${table("waiting")} AS waiting ${orderedJoin} ${request} ON id = waiting.request
      WHERE waiting.approver = ${first} ORDER BY waiting.request`,
    listDecidedBy: `SELECT body FROM ${request} WHERE decided_by = ${first} ORDER BY id DESC LIMIT ${second}`,
    listRequests: `SELECT body FROM ${request} ORDER BY id DESC LIMIT ${first}`,
    listRequestsInState: `SELECT body FROM ${request} WHERE state = ${first} ORDER BY id DESC LIMIT ${second}`,
    countPending: `SELECT count(*) AS count FROM ${request}
      WHERE agent = ${first} AND state = 'pending' AND expires_at > ${second}`,
    listPendingCreatedAt: `SELECT created_at AS at FROM ${request}
      WHERE state = 'pending' AND expires_at > ${first} ORDER BY id LIMIT ${second}`,
    countCreatedSince: `SELECT count(*) AS count FROM ${request} WHERE agent = ${first} AND created_at >= ${second}`,
    listMessagesAwaiting: `SELECT version, body FROM ${table("message")} WHERE awaits = ${first} ORDER BY id`,
    listAbandonedMessages: abandoned("message"),
    listAbandonedCallbacks: abandoned("callback"),
  };
}
