/**
 * Everything that is read of records, each reader one statement that an index answers. Records are plain values, read
 * from their JSON; `standing` reads columns only.
 */
import { type Body, type HeldRow, type PolledRow, parseHeld, parsePolled, parseRecord } from "../parse.ts";
import { type Kind, type LeasedKind, tables, timedKinds } from "../record.ts";
import type { Standing, Store } from "../store.ts";
import type { Connection } from "./connection.ts";

type Readers = Omit<Store, "now" | "commit" | "pass" | "claim" | "log" | "watch" | "close">;

const claimable = (kind: LeasedKind) =>
  `SELECT version, body FROM ${kind} WHERE due_at <= ? AND state = 'waiting' ORDER BY due_at, id LIMIT ?`;

/** Every statement that reads records; the tests hold each of them to an index. */
export const queries = {
  read: (kind: Kind) => `SELECT version, body FROM "${kind}" WHERE id = ?`,
  list: (kind: Kind) => `SELECT version, body FROM "${kind}" ORDER BY id`,
  due: (kind: Kind) => `SELECT version, body FROM "${kind}" WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`,
  outstanding: [
    ...timedKinds.map(
      (kind) => `SELECT '${kind}' AS what WHERE EXISTS (SELECT 1 FROM "${kind}" WHERE due_at <= ?1)`,
    ),
    `SELECT 'log' WHERE EXISTS (SELECT 1 FROM log_entry WHERE leaf_index IS NULL)
      OR coalesce((SELECT max(leaf_index) + 1 FROM log_entry), 0) <> coalesce((SELECT max(size) FROM checkpoint), 0)`,
  ].join(" UNION ALL "),
  claimableMessages: claimable("message"),
  claimableCallbacks: claimable("callback"),
  standing: "SELECT agent, state, expires_at AS expiresAt FROM approval WHERE id = ?",
  polling: `SELECT held.version, held.body, approval.agent, approval.state, approval.expires_at AS expiresAt
    FROM agent AS held LEFT JOIN approval ON approval.id = ?2 WHERE held.id = ?1`,
  approverByEmail: "SELECT body FROM approver WHERE email = ?",
  devicesOf: "SELECT body FROM device WHERE approver = ? ORDER BY id",
  sessionsOn: "SELECT version, body FROM session WHERE device = ? ORDER BY id",
  waitingFor: `SELECT body FROM waiting CROSS JOIN approval ON id = waiting.approval
    WHERE waiting.approver = ? ORDER BY waiting.approval`,
  decidedBy: "SELECT body FROM approval WHERE decided_by = ? ORDER BY id DESC LIMIT ?",
  requests: "SELECT body FROM approval ORDER BY id DESC LIMIT ?",
  requestsIn: "SELECT body FROM approval WHERE state = ? ORDER BY id DESC LIMIT ?",
  waitingOf:
    "SELECT count(*) AS waiting FROM approval WHERE agent = ? AND state = 'pending' AND expires_at > ?",
  waitingSince:
    "SELECT created_at AS at FROM approval WHERE state = 'pending' AND expires_at > ? ORDER BY id LIMIT ?",
  askedSince: "SELECT count(*) AS asked FROM approval WHERE agent = ? AND created_at >= ?",
  undelivered: "SELECT body FROM message WHERE state = 'given_up' ORDER BY id DESC LIMIT ?",
  unansweredCallbacks: "SELECT body FROM callback WHERE state = 'given_up' ORDER BY id DESC LIMIT ?",
};

export function readers(connection: Connection, clock: () => number): Readers {
  const { prepare } = connection;
  const kinds = Object.keys(tables) as Kind[];
  const byKind = new Map(
    kinds.map((kind) => [
      kind,
      {
        read: prepare<HeldRow>(queries.read(kind)),
        list: prepare<HeldRow>(queries.list(kind)),
        due: prepare<HeldRow>(queries.due(kind)),
      },
    ]),
  );
  const of = (kind: Kind) => byKind.get(kind)!;
  const outstanding = prepare<{ what: Kind | "log" }>(queries.outstanding);
  const standing = prepare<Standing>(queries.standing);
  const polling = prepare<PolledRow>(queries.polling);
  const approverByEmail = prepare<Body>(queries.approverByEmail);
  const devicesOf = prepare<Body>(queries.devicesOf);
  const sessionsOn = prepare<HeldRow>(queries.sessionsOn);
  const waitingFor = prepare<Body>(queries.waitingFor);
  const decidedBy = prepare<Body>(queries.decidedBy);
  const requests = prepare<Body>(queries.requests);
  const requestsIn = prepare<Body>(queries.requestsIn);
  const waitingOf = prepare<{ waiting: number }>(queries.waitingOf);
  const waitingSince = prepare<{ at: number }>(queries.waitingSince);
  const askedSince = prepare<{ asked: number }>(queries.askedSince);
  const undelivered = prepare<Body>(queries.undelivered);
  const unansweredCallbacks = prepare<Body>(queries.unansweredCallbacks);

  return {
    read: (kind, id) => {
      const row = of(kind).read.get(id);
      return row && parseHeld(kind, row, id);
    },
    list: (kind) =>
      of(kind)
        .list.all()
        .map((row) => parseHeld(kind, row)),
    due: (kind, now, limit) =>
      of(kind)
        .due.all(now, limit)
        .map((row) => parseHeld(kind, row)),
    outstanding: () => new Set(outstanding.all(clock()).map(({ what }) => what)),
    standing: (approvalId) => {
      const row = standing.get(approvalId);
      return row && { ...row };
    },
    polling: (agentId, approvalId) => parsePolled(agentId, polling.get(agentId, approvalId)),
    approverByEmail: (email) => approverByEmail.all(email).map((row) => parseRecord("approver", row))[0],
    devicesOf: (approverId) => devicesOf.all(approverId).map((row) => parseRecord("device", row)),
    sessionsOn: (deviceId) => sessionsOn.all(deviceId).map((row) => parseHeld("session", row)),
    waitingFor: (approverId) => waitingFor.all(approverId).map((row) => parseRecord("approval", row)),
    decidedBy: (approverId, limit) =>
      decidedBy.all(approverId, limit).map((row) => parseRecord("approval", row)),
    notPending: (ids) => ids.filter((id) => standing.get(id)?.state !== "pending"),
    requests: ({ state, limit }) =>
      (state === undefined ? requests.all(limit) : requestsIn.all(state, limit)).map((row) =>
        parseRecord("approval", row),
      ),
    waitingOf: (agentId, now) => waitingOf.get(agentId, now)!.waiting,
    waitingSince: (now, limit) => waitingSince.all(now, limit).map(({ at }) => at),
    askedSince: (agentId, since) => askedSince.get(agentId, since)!.asked,
    undelivered: (limit) => undelivered.all(limit).map((row) => parseRecord("message", row)),
    unansweredCallbacks: (limit) => unansweredCallbacks.all(limit).map((row) => parseRecord("callback", row)),
  };
}
