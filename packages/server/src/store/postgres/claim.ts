/**
 * Leases due outbox records, in one transaction of two round trips. Records that another node is claiming are skipped
 * (`SKIP LOCKED`), so nodes share the work and never wait. A batch locks its records only by name, so records whose
 * name is locked are skipped as well.
 */
import type { RecordDefinition } from "../record/define-record.ts";
import { definitions, type LeasedKind, leasedKinds, type Records } from "../record/records.ts";
import { encodeUnloggedChange, type WriteRow } from "../row.ts";
import type { ClaimFilter, Store, Versioned, Write } from "../store.ts";
import { databaseNow } from "./clock.ts";
import { beginSql } from "./connection.ts";
import type { Plan } from "./plan.ts";
import type { Pool } from "./pool.ts";
import { createRowWriter } from "./write.ts";

type ClaimableRow = { readonly version: number; readonly body: string; readonly now: number };

export function createClaim({ run, transaction }: Pool, schema: string): Store["claim"] {
  const writeRows = createRowWriter(schema);
  const statementsOf = (kind: LeasedKind) => {
    const table = `${schema}."${kind}"`;
    const claimable = `SELECT id, version, body FROM ${table}
      WHERE state = 'queued' AND due_at <= (SELECT ${databaseNow})`;
    // Lock the row first, then the name: a batch holds the name before it writes, and the row after.
    const locked = (found: string) => `WITH found AS MATERIALIZED (${found} FOR UPDATE SKIP LOCKED)
      SELECT version, body, ${databaseNow} AS now FROM found
      WHERE pg_try_advisory_xact_lock(${lockKeySql(`'${schema} ${kind} ' || id`)})`;
    return {
      any: `SELECT 1 AS due FROM ${table} WHERE state = 'queued' AND due_at <= (SELECT ${databaseNow}) LIMIT 1`,
      due: locked(`${claimable} ORDER BY due_at, id LIMIT $1`),
      among: locked(`${claimable} AND id = ANY ($1::text[])`),
    };
  };
  const statements = new Map(leasedKinds.map((kind) => [kind, statementsOf(kind)]));

  return async <K extends LeasedKind>(kind: K, filter: ClaimFilter) => {
    const { any, due, among } = statements.get(kind)!;
    const definition: RecordDefinition<Records[K]> = definitions[kind];
    // Take no lock and begin no transaction if nothing is due: the usual case.
    if (!("ids" in filter) && (await run(any)).length === 0) return [];
    return await transaction(async (runInTransaction) => {
      const [, found] = await Promise.all([
        runInTransaction(beginSql),
        "ids" in filter
          ? runInTransaction<ClaimableRow>(among, [...filter.ids])
          : runInTransaction<ClaimableRow>(due, filter.limit),
      ]);
      const leased = found.flatMap(({ version, body, now }): Versioned<K>[] => {
        const record = definition.lease(JSON.parse(body) as Records[K], now);
        return record ? [{ record, version: version + 1 }] : [];
      });
      // Durability point. Crashing before COMMIT leaves the records due; after it, they are due again when the
      // lease ends.
      await Promise.all([
        ...writeRows(runInTransaction, encodeLeases(kind, leased)),
        runInTransaction("COMMIT"),
      ]);
      return leased;
    });
  };
}

function encodeLeases<K extends LeasedKind>(kind: K, leased: readonly Versioned<K>[]): Plan["writes"] {
  const writes = leased.map(
    ({ record, version }) => ({ put: kind, record, ifVersion: version - 1 }) as Write<LeasedKind>,
  );
  type Put = WriteRow & { readonly act: Exclude<WriteRow["act"], "check"> };
  return (encodeUnloggedChange({ writes }).writes as readonly Put[]).map((row) => ({
    ...row,
    version: row.ifVersion,
  }));
}

/** SQL that computes `lockKey`: the first eight bytes of a SHA-256, as a signed integer. */
function lockKeySql(name: string): string {
  return `('x' || encode(substr(sha256(convert_to(${name}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint`;
}
