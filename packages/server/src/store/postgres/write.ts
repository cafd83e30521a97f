/** Rows on their way into the tables: for each kind one statement for what is new, one for what changed, one for what goes. */
import { type Kind, tables } from "../record.ts";
import type { PutRow, WriteRow } from "../row.ts";
import type { Run, Value } from "./link.ts";
import type { Plan } from "./plan.ts";
import { columnsOf, columnType } from "./schema.ts";

const kinds = Object.keys(tables) as Kind[];

/** Sends the statements, inside a transaction that holds what they write; each is answered by its promise. */
export type RowWriter = (run: Run, writes: Plan["writes"]) => Promise<unknown>[];

export function rowWriter(schema: string): RowWriter {
  return writesOf;

  function writesOf(run: Run, writes: Plan["writes"]): Promise<unknown>[] {
    return kinds.flatMap((kind) => {
      const here = writes.filter((write) => write.kind === kind);
      if (here.length === 0) return [];
      const dropped = here.filter(({ act, version }) => act === "drop" && version > 0);
      const put = here.filter((write): write is Put => write.act !== "drop");
      const added = put.filter(({ version }) => version === 0);
      const changed = put.filter(({ version }) => version > 0);
      const statements: Promise<unknown>[] = [];
      const table = `${schema}."${kind}"`;
      const columns = ["id", "version", "due_at", ...columnsOf(kind), "body"];
      const types = ["text", "integer", "bigint", ...columnsOf(kind).map(columnType), "text"];
      const rows = `unnest(${types.map((type, at) => `$${at + 1}::${type}[]`).join(", ")}) AS row (${columns.join(", ")})`;
      if (dropped.length > 0)
        statements.push(
          run(
            `DELETE FROM ${table} WHERE id = ANY ($1::text[])`,
            dropped.map(({ id }) => id),
          ),
        );
      if (added.length > 0)
        statements.push(
          run(`INSERT INTO ${table} (${columns.join(", ")}) SELECT * FROM ${rows}`, ...columnar(added)),
        );
      if (changed.length > 0) {
        const sets = columns.slice(1).map((name) => `${name} = row.${name}`);
        statements.push(
          run(
            `UPDATE ${table} SET ${sets.join(", ")} FROM ${rows} WHERE ${table}.id = row.id`,
            ...columnar(changed),
          ),
        );
      }
      if (kind === "approval") statements.push(...inboxesOf(run, [...dropped, ...changed], put));
      return statements;
    });
  }

  function inboxesOf(run: Run, over: readonly { readonly id: string }[], put: readonly Put[]) {
    const pairs = put.flatMap(({ id, act }) => (act.waiting ?? []).map((approver) => ({ approver, id })));
    return [
      ...(over.length > 0
        ? [
            run(
              `DELETE FROM ${schema}.waiting WHERE approval = ANY ($1::text[])`,
              over.map(({ id }) => id),
            ),
          ]
        : []),
      ...(pairs.length > 0
        ? [
            run(
              `INSERT INTO ${schema}.waiting (approver, approval) SELECT * FROM unnest($1::text[], $2::text[])`,
              pairs.map(({ approver }) => approver),
              pairs.map(({ id }) => id),
            ),
          ]
        : []),
    ];
  }
}

type Put = WriteRow & { readonly act: PutRow; readonly version: number };

/** One array for each column. The version written is one more than that which the change expected. */
function columnar(put: readonly Put[]): Value[] {
  const [first] = put;
  return [
    put.map(({ id }) => id),
    put.map(({ expect }) => expect + 1),
    put.map(({ act }) => act.dueAt),
    ...(first?.act.columns ?? []).map((_, at) => put.map(({ act }) => act.columns[at] ?? null)),
    put.map(({ act }) => act.body),
  ];
}
