/** Writes rows: per kind, one statement each for inserts, updates and deletes. */
import { kinds } from "../record/records.ts";
import type { PutRow, WriteRow } from "../row.ts";
import type { Run, SqlValue } from "./connection.ts";
import type { Plan } from "./plan.ts";
import { columnsOf, columnTypeOf } from "./schema.ts";

/** Sends the statements within a transaction that holds the locks. Returns one promise per statement. */
export type RowWriter = (run: Run, writes: Plan["writes"]) => Promise<unknown>[];

export function createRowWriter(schema: string): RowWriter {
  return writeRows;

  function writeRows(run: Run, writes: Plan["writes"]): Promise<unknown>[] {
    return kinds.flatMap((kind) => {
      const kindWrites = writes.filter((write) => write.kind === kind);
      if (kindWrites.length === 0) return [];
      const deleted = kindWrites.filter(({ act, version }) => act === "delete" && version > 0);
      const put = kindWrites.filter((write): write is PutWrite => write.act !== "delete");
      const added = put.filter(({ version }) => version === 0);
      const changed = put.filter(({ version }) => version > 0);
      const statements: Promise<unknown>[] = [];
      const table = `${schema}."${kind}"`;
      const columns = ["id", "version", "due_at", ...columnsOf(kind), "body"];
      const types = ["text", "integer", "bigint", ...columnsOf(kind).map(columnTypeOf), "text"];
      const rows = `unnest(${types.map((type, at) => `$${at + 1}::${type}[]`).join(", ")}) AS row (${columns.join(", ")})`;
      if (deleted.length > 0)
        statements.push(
          run(
            `DELETE FROM ${table} WHERE id = ANY ($1::text[])`,
            deleted.map(({ id }) => id),
          ),
        );
      if (added.length > 0)
        statements.push(
          run(`INSERT INTO ${table} (${columns.join(", ")}) SELECT * FROM ${rows}`, ...toColumns(added)),
        );
      if (changed.length > 0) {
        const sets = columns.slice(1).map((name) => `${name} = row.${name}`);
        statements.push(
          run(
            `UPDATE ${table} SET ${sets.join(", ")} FROM ${rows} WHERE ${table}.id = row.id`,
            ...toColumns(changed),
          ),
        );
      }
      if (kind === "request") statements.push(...writeInboxes(run, [...deleted, ...changed], put));
      return statements;
    });
  }

  function writeInboxes(run: Run, ended: readonly { readonly id: string }[], put: readonly PutWrite[]) {
    const pairs = put.flatMap(({ id, act }) => (act.waiting ?? []).map((approver) => ({ approver, id })));
    return [
      ...(ended.length > 0
        ? [
            run(
              `DELETE FROM ${schema}.waiting WHERE request = ANY ($1::text[])`,
              ended.map(({ id }) => id),
            ),
          ]
        : []),
      ...(pairs.length > 0
        ? [
            run(
              `INSERT INTO ${schema}.waiting (approver, request) SELECT * FROM unnest($1::text[], $2::text[])`,
              pairs.map(({ approver }) => approver),
              pairs.map(({ id }) => id),
            ),
          ]
        : []),
    ];
  }
}

type PutWrite = WriteRow & { readonly act: PutRow; readonly version: number };

/** Returns one array per column. The written version is one more than the expected one. */
function toColumns(put: readonly PutWrite[]): SqlValue[] {
  const [first] = put;
  return [
    put.map(({ id }) => id),
    put.map(({ ifVersion }) => ifVersion + 1),
    put.map(({ act }) => act.dueAt),
    ...(first?.act.columns ?? []).map((_, at) => put.map(({ act }) => act.columns[at] ?? null)),
    put.map(({ act }) => act.body),
  ];
}
