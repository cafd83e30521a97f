/**
 * A batch of changes as one transaction in two trips: lock and look; then, after `plan.ts` has decided, write and
 * commit. What a batch looks at is locked by name (advisory locks, shared where it is only checked), in one order, so
 * that guards about what is *not* there hold as well, and two batches never wait for each other.
 */
import { hash } from "node:crypto";
import { type Kind, tables } from "../record.ts";
import type { ChangeRows } from "../row.ts";
import type { Outcome, Wake } from "../store.ts";
import { databaseNow } from "./clock.ts";
import type { Pool } from "./connection.ts";
import { begin, type Run } from "./link.ts";
import { type Found, nameOf, type Plan, planBatch } from "./plan.ts";
import { rowWriter } from "./write.ts";

export type BatchWriter = (batch: readonly ChangeRows[]) => Promise<readonly Outcome[]>;

/** Whoever writes, tells: by a notification of the same transaction, heard once it is committed. */
export type Announce = (wakes: readonly Wake[]) => readonly string[];

const kinds = Object.keys(tables) as Kind[];
/** New ones have ids that nobody else can have made up: there is nothing to lock, and the table refuses a second one. */
const fresh: readonly Kind[] = ["approval", "message", "callback", "token", "session"];

export function batchWriter(
  pool: Pool,
  schema: string,
  channel: string,
  announce: Announce,
  /** Hears the database's clock, with each batch. */
  onClock: (now: number) => void,
): BatchWriter {
  const lockSql = `SELECT CASE WHEN alone = 1 THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END
    FROM unnest($1::bigint[], $2::integer[]) AS lock (key, alone)`;
  const rowsOf = rowWriter(schema);
  const waitingSql = countSql(`state = 'pending' AND expires_at > ${databaseNow}`);
  const askedSql = countSql("created_at >= since");

  function countSql(condition: string): string {
    return `SELECT (SELECT count(*) FROM (
        SELECT 1 FROM ${schema}.approval WHERE approval.agent = guard.agent AND ${condition} LIMIT most
      ) AS found) AS count
      FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS guard (agent, since, most, at) ORDER BY at`;
  }

  return (batch) =>
    pool.transaction(async (run) => {
      const found = await look(run, batch);
      onClock(found.now);
      const plan = planBatch(batch, found);
      if (plan.writes.length === 0 && plan.entries.length === 0) {
        await run("COMMIT");
        return plan.outcomes;
      }
      const wakes = batch.flatMap((change, at) => (plan.outcomes[at] === "committed" ? change.wakes : []));
      await Promise.all([
        ...rowsOf(run, plan.writes),
        ...entriesOf(run, plan),
        ...announce(wakes).map((payload) => run("SELECT pg_notify($1, $2)", channel, payload)),
        // Durability point. Crashing before COMMIT is done leaves nothing of this batch; after it, all of it. None of it
        // is acknowledged before. Where the connection is lost meanwhile, the log's `holds` tells which it was.
        run("COMMIT"),
      ]);
      return plan.outcomes;
    });

  async function look(run: Run, batch: readonly ChangeRows[]): Promise<Found> {
    const guarded = batch.flatMap(({ writes }) => writes);
    const waiting = batch.flatMap(({ fewerWaiting }) => fewerWaiting ?? []);
    const asked = batch.flatMap(({ fewerAsked }) => fewerAsked ?? []);
    const locks = locksOf(schema, batch);
    const idsByKind = kinds
      .map((kind) => ({ kind, ids: guarded.filter((write) => write.kind === kind).map(({ id }) => id) }))
      .filter(({ ids }) => ids.length > 0);
    const [, , clock, waitingFound, askedFound, ...versionsFound] = await Promise.all([
      run(begin),
      run(lockSql, [...locks.keys()], [...locks.values()].map(Number)),
      // The clock before the counts: what is waiting is counted at an instant that has been.
      run<{ now: number }>(`SELECT ${databaseNow} AS now`),
      counted(
        run,
        waitingSql,
        waiting.map((one) => ({ ...one, since: 0 })),
      ),
      counted(run, askedSql, asked),
      ...idsByKind.map(({ kind, ids }) =>
        run<{ id: string; version: number }>(
          `SELECT id, version FROM ${schema}."${kind}" WHERE id = ANY ($1::text[])`,
          ids,
        ),
      ),
    ]);
    const versions = new Map<string, number>();
    for (const [at, rows] of versionsFound.entries())
      for (const { id, version } of rows) versions.set(nameOf({ kind: idsByKind[at]!.kind, id }), version);
    return {
      now: clock[0]!.now,
      versions,
      waiting: waitingFound.map(({ count }) => count),
      asked: askedFound.map(({ count }) => count),
    };
  }

  function entriesOf(run: Run, { entries }: Plan): Promise<unknown>[] {
    if (entries.length === 0) return [];
    const texts = entries.flatMap(({ id, texts: said }) =>
      Object.entries(said).map(([name, { text, salt }]) => ({ id, name, text, salt })),
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

type Counting = { readonly agent: string; readonly since: number; readonly than: number };

/** In the order of the guards. Most batches have none, and ask nothing. */
async function counted(
  run: Run,
  sql: string,
  guards: readonly Counting[],
): Promise<readonly { readonly count: number }[]> {
  if (guards.length === 0) return [];
  const values = [guards.map(({ agent }) => agent), guards.map(({ since }) => since)];
  return await run(
    sql,
    ...values,
    guards.map(({ than }) => than),
  );
}

/** By what name a record, or what else is counted, is locked; `claim.ts` computes the same in SQL. */
export function lockKey(schema: string, name: string): bigint {
  return hash("sha256", `${schema} ${name}`, "buffer").readBigInt64BE();
}

/** Lock keys in ascending order, each with whether it has to be held alone. */
function locksOf(schema: string, batch: readonly ChangeRows[]): Map<string, boolean> {
  const wanted = new Map<bigint, boolean>();
  const want = (name: string, alone: boolean) => {
    const key = lockKey(schema, name);
    wanted.set(key, alone || wanted.get(key) === true);
  };
  for (const { writes, fewerWaiting, fewerAsked } of batch) {
    for (const agent of new Set([fewerWaiting?.agent, fewerAsked?.agent]))
      if (agent !== undefined) want(`asks of ${agent}`, true);
    for (const write of writes)
      if (write.act === "check") want(nameOf(write), false);
      else if (write.expect > 0 || !fresh.includes(write.kind)) want(nameOf(write), true);
  }
  const sorted = [...wanted].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(sorted.map(([key, alone]) => [String(key), alone]));
}
