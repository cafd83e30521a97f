/**
 * One change, written inside a transaction that is already under way. All guards are looked at before the first row
 * is touched, so that a conflict leaves nothing to undo.
 */
import { type Kind, tables } from "../record.ts";
import type { ChangeRows, PutRow, WriteRow } from "../row.ts";
import type { Outcome } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { Append } from "./log.ts";
import { queries } from "./reader.ts";
import { columnsOf } from "./schema.ts";

/** Answers a function that writes one change, or says `conflict`. `clock` is read when the change is written. */
export function changeWriter(
  connection: Connection,
  clock: () => number,
  append: Append,
): (change: ChangeRows) => Outcome {
  const kinds = Object.keys(tables) as Kind[];
  const statements = new Map(kinds.map((kind) => [kind, statementsFor(connection, kind)]));
  const forget = connection.prepare("DELETE FROM waiting WHERE approval = ?");
  const remember = connection.prepare("INSERT INTO waiting (approver, approval) VALUES (?, ?)");
  const waitingOf = connection.prepare<{ waiting: number }>(queries.waitingOf);
  const askedSince = connection.prepare<{ asked: number }>(queries.askedSince);
  const of = (kind: Kind) => statements.get(kind)!;

  function holds({ kind, id, expect }: WriteRow): boolean {
    return (of(kind).version.get(id)?.version ?? 0) === expect;
  }

  function put({ kind, id, expect }: WriteRow, row: PutRow): void {
    of(kind).put.run(id, expect + 1, row.dueAt, ...row.columns, row.body);
    if (!row.waiting) return;
    if (expect > 0) forget.run(id);
    for (const approver of row.waiting) remember.run(approver, id);
  }

  function drop({ kind, id }: WriteRow): void {
    of(kind).drop.run(id);
    if (kind === "approval") forget.run(id);
  }

  function guarded({ before, fewerWaiting, fewerAsked, writes }: ChangeRows): boolean {
    const now = clock();
    if (before !== undefined && now >= before) return false;
    if (fewerWaiting && waitingOf.get(fewerWaiting.agent, now)!.waiting >= fewerWaiting.than) return false;
    if (fewerAsked && askedSince.get(fewerAsked.agent, fewerAsked.since)!.asked >= fewerAsked.than)
      return false;
    return writes.every(holds);
  }

  return (change) => {
    if (!guarded(change)) return "conflict";
    for (const write of change.writes) {
      if (write.act === "drop") drop(write);
      else if (write.act !== "check") put(write, write.act);
    }
    for (const entry of change.entries) append(entry);
    return "committed";
  };
}

function statementsFor(connection: Connection, kind: Kind) {
  const columns = ["id", "version", "due_at", ...columnsOf(kind), "body"];
  const updates = columns.slice(1).map((name) => `${name} = excluded.${name}`);
  return {
    version: connection.prepare<{ version: number }>(`SELECT version FROM "${kind}" WHERE id = ?`),
    put: connection.prepare(
      `INSERT INTO "${kind}" (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
       ON CONFLICT (id) DO UPDATE SET ${updates.join(", ")}`,
    ),
    drop: connection.prepare(`DELETE FROM "${kind}" WHERE id = ?`),
  };
}
