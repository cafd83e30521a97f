/**
 * Leases what has to leave, in one transaction of two trips. What another node is claiming right now is passed over
 * (`SKIP LOCKED`), so that nodes share out what is due and none waits. A batch writes rows that it has locked by name
 * alone: a record whose name is taken is somebody's who writes it, and is passed over as well.
 */
import { type LeasedKind, leases, type Records } from "../record.ts";
import { passingRows, type WriteRow } from "../row.ts";
import type { Held, Store, Wanted, Write } from "../store.ts";
import { databaseNow } from "./clock.ts";
import type { Pool } from "./connection.ts";
import { begin } from "./link.ts";
import type { Plan } from "./plan.ts";
import { rowWriter } from "./write.ts";

type Found = { readonly version: number; readonly body: string; readonly now: number };

export function claims({ run, transaction }: Pool, schema: string): Store["claim"] {
  const rowsOf = rowWriter(schema);
  const statementsOf = (kind: LeasedKind) => {
    const table = `${schema}."${kind}"`;
    const claimable = `SELECT id, version, body FROM ${table}
      WHERE state = 'waiting' AND due_at <= (SELECT ${databaseNow})`;
    // The row first: whoever holds its name and has not written yet keeps us from the name, and whoever has, from the row.
    const locked = (found: string) => `WITH found AS MATERIALIZED (${found} FOR UPDATE SKIP LOCKED)
      SELECT version, body, ${databaseNow} AS now FROM found
      WHERE pg_try_advisory_xact_lock(${lockKeySql(`'${schema} ${kind} ' || id`)})`;
    return {
      any: `SELECT 1 AS due FROM ${table} WHERE state = 'waiting' AND due_at <= (SELECT ${databaseNow}) LIMIT 1`,
      due: locked(`${claimable} ORDER BY due_at, id LIMIT $1`),
      among: locked(`${claimable} AND id = ANY ($1::text[])`),
    };
  };
  const statements = { message: statementsOf("message"), callback: statementsOf("callback") };

  return async <K extends LeasedKind>(kind: K, wanted: Wanted) => {
    const { any, due, among } = statements[kind];
    // Nothing is locked, and nothing begun, where nothing is due: most rounds find nothing.
    if (!("ids" in wanted) && (await run(any)).length === 0) return [];
    return await transaction(async (on) => {
      const [, found] = await Promise.all([
        on(begin),
        "ids" in wanted ? on<Found>(among, [...wanted.ids]) : on<Found>(due, wanted.limit),
      ]);
      const leased = found.flatMap(({ version, body, now }): Held<K>[] => {
        const record: Records[K] | undefined = leases[kind](JSON.parse(body) as Records[K], now);
        return record ? [{ record, version: version + 1 }] : [];
      });
      // Durability point. Crashing before COMMIT leaves them due; after it, leased to nobody, and due when that ends.
      await Promise.all([...rowsOf(on, written(kind, leased)), on("COMMIT")]);
      return leased;
    });
  };
}

function written<K extends LeasedKind>(kind: K, leased: readonly Held<K>[]): Plan["writes"] {
  const writes = leased.map(
    ({ record, version }) => ({ put: kind, record, expect: version - 1 }) as Write<LeasedKind>,
  );
  type Put = WriteRow & { readonly act: Exclude<WriteRow["act"], "check"> };
  return (passingRows({ writes }).writes as readonly Put[]).map((row) => ({ ...row, version: row.expect }));
}

/** As `lockKey` computes it: the first eight bytes of a SHA-256, as a signed number. */
function lockKeySql(name: string): string {
  return `('x' || encode(substr(sha256(convert_to(${name}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint`;
}
