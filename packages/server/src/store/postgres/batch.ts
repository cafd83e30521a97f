/**
 * Writes a batch of changes as one transaction in two round trips: lock and read; then, after `plan.ts` has decided,
 * write and commit. Records are locked by name (advisory locks, shared for checks) in a fixed order, so that guards
 * about missing records hold too and batches do not deadlock.
 */
import { hash } from "node:crypto";
import { definitions, kinds } from "../record/records.ts";
import type { ChangeRows } from "../row.ts";
import type { ChangeEvent, Outcome } from "../store.ts";
import { databaseNow } from "./clock.ts";
import { beginSql, type Run } from "./connection.ts";
import { type LockedRows, type Plan, planBatch, recordName } from "./plan.ts";
import type { Pool } from "./pool.ts";
import { createRowWriter } from "./write.ts";

export type BatchWriter = (batch: readonly ChangeRows[]) => Promise<readonly Outcome[]>;

/** Encodes change events as notifications; sent within the transaction and delivered when it commits. */
export type EncodeNotifications = (changeEvents: readonly ChangeEvent[]) => readonly string[];

export function createBatchWriter(
  pool: Pool,
  schema: string,
  channel: string,
  encodeNotifications: EncodeNotifications,
  /** Called with the time of the database in each batch. */
  onClock: (now: number) => void,
): BatchWriter {
  const lockSql = `SELECT CASE WHEN alone = 1 THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END
    FROM unnest($1::bigint[], $2::integer[]) AS lock (key, alone)`;
  const writeRows = createRowWriter(schema);
  const pendingSql = countSql(`state = 'pending' AND expires_at > ${databaseNow}`);
  const createdSql = countSql("created_at >= since");

  function countSql(condition: string): string {
    return `SELECT (SELECT count(*) FROM (
        SELECT 1 FROM ${schema}.request WHERE request.agent = guard.agent AND ${condition} LIMIT max_count
      ) AS found) AS count
      FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS guard (agent, since, max_count, at) ORDER BY at`;
  }

  return (batch) =>
    pool.transaction(async (run) => {
      const found = await lockAndRead(run, batch);
      onClock(found.now);
      const plan = planBatch(batch, found);
      if (plan.writes.length === 0 && plan.entries.length === 0) {
        await run("COMMIT");
        return plan.outcomes;
      }
      const changeEvents = batch.flatMap((change, at) =>
        plan.outcomes[at] === "committed" ? change.changeEvents : [],
      );
      await Promise.all([
        ...writeRows(run, plan.writes),
        ...insertEntries(run, plan),
        ...encodeNotifications(changeEvents).map((payload) =>
          run("SELECT pg_notify($1, $2)", channel, payload),
        ),
        // Durability point. Crashing before COMMIT completes leaves nothing of this batch; after it, all of
        // it. None of it is acknowledged before. If the connection is lost meanwhile, `log.hasEntry` resolves
        // the outcome.
        run("COMMIT"),
      ]);
      return plan.outcomes;
    });

  async function lockAndRead(run: Run, batch: readonly ChangeRows[]): Promise<LockedRows> {
    const guarded = batch.flatMap(({ writes }) => writes);
    const pendingGuards = batch.flatMap(({ maxPending }) => maxPending ?? []);
    const createdGuards = batch.flatMap(({ maxCreatedSince }) => maxCreatedSince ?? []);
    const locks = locksOf(schema, batch);
    const idsByKind = kinds
      .map((kind) => ({ kind, ids: guarded.filter((write) => write.kind === kind).map(({ id }) => id) }))
      .filter(({ ids }) => ids.length > 0);
    const [, , clock, pendingRows, createdRows, ...versionRows] = await Promise.all([
      run(beginSql),
      run(lockSql, [...locks.keys()], [...locks.values()].map(Number)),
      // Read the clock before the counts, so that they are not of an earlier time.
      run<{ now: number }>(`SELECT ${databaseNow} AS now`),
      countGuarded(
        run,
        pendingSql,
        pendingGuards.map((one) => ({ ...one, since: 0 })),
      ),
      countGuarded(run, createdSql, createdGuards),
      ...idsByKind.map(({ kind, ids }) =>
        run<{ id: string; version: number }>(
          `SELECT id, version FROM ${schema}."${kind}" WHERE id = ANY ($1::text[])`,
          ids,
        ),
      ),
    ]);
    const versions = new Map<string, number>();
    for (const [at, rows] of versionRows.entries())
      for (const { id, version } of rows)
        versions.set(recordName({ kind: idsByKind[at]!.kind, id }), version);
    return {
      now: clock[0]!.now,
      versions,
      pendingCounts: pendingRows.map(({ count }) => count),
      createdCounts: createdRows.map(({ count }) => count),
    };
  }

  function insertEntries(run: Run, { entries }: Plan): Promise<unknown>[] {
    if (entries.length === 0) return [];
    const texts = entries.flatMap(({ id, texts: entryTexts }) =>
      Object.entries(entryTexts).map(([name, { text, salt }]) => ({ id, name, text, salt })),
    );
    const addEntries = run(
      `INSERT INTO ${schema}.log_entry (id, line, request)
       SELECT id, line, request FROM unnest($1::text[], $2::text[], $3::text[])
         WITH ORDINALITY AS entry (id, line, request, at) ORDER BY at`,
      entries.map(({ id }) => id),
      entries.map(({ line }) => line),
      entries.map(({ request }) => request),
    );
    if (texts.length === 0) return [addEntries];
    const columns = ["id", "name", "text", "salt"] as const;
    return [
      addEntries,
      run(
        `INSERT INTO ${schema}.log_text (entry, name, text, salt)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])`,
        ...columns.map((column) => texts.map((text) => text[column])),
      ),
    ];
  }
}

type CountGuard = { readonly agent: string; readonly since: number; readonly limit: number };

/** Returns counts in the order of the guards. Sends no query if there are none. */
async function countGuarded(
  run: Run,
  sql: string,
  guards: readonly CountGuard[],
): Promise<readonly { readonly count: number }[]> {
  if (guards.length === 0) return [];
  const values = [guards.map(({ agent }) => agent), guards.map(({ since }) => since)];
  return await run(
    sql,
    ...values,
    guards.map(({ limit }) => limit),
  );
}

/** Returns the advisory lock key of a record or of a counted set; `claim.ts` computes the same in SQL. */
export function lockKey(schema: string, name: string): bigint {
  return hash("sha256", `${schema} ${name}`, "buffer").readBigInt64BE();
}

/** Returns the lock keys in ascending order, each with whether it is exclusive. */
function locksOf(schema: string, batch: readonly ChangeRows[]): Map<string, boolean> {
  const keys = new Map<bigint, boolean>();
  const addLock = (name: string, exclusive: boolean) => {
    const key = lockKey(schema, name);
    keys.set(key, exclusive || keys.get(key) === true);
  };
  for (const { writes, maxPending, maxCreatedSince } of batch) {
    for (const agent of new Set([maxPending?.agent, maxCreatedSince?.agent]))
      if (agent !== undefined) addLock(`asks of ${agent}`, true);
    for (const write of writes)
      if (write.act === "check") addLock(recordName(write), false);
      else if (write.ifVersion > 0 || !definitions[write.kind].hasRandomId) addLock(recordName(write), true);
  }
  const sorted = [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(sorted.map(([key, exclusive]) => [String(key), exclusive]));
}
