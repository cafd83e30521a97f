/**
 * One change, written inside a transaction that is already under way. All guards are looked at before the first row
 * is touched, so that a conflict leaves nothing to undo.
 */
import { type Kind, tables } from "../record.ts";
import type { ChangeRows, PutRow, WriteRow } from "../row.ts";
import { absent, type Outcome } from "../store.ts";
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

  /** Answers whether it held what was expected, and otherwise has written nothing. */
  function put({ kind, id, expect }: WriteRow, row: PutRow): boolean {
    const { insert, update } = of(kind);
    const written =
      expect === absent
        ? insert.run(id, 1, row.dueAt, ...row.columns, row.body)
        : update.run(expect + 1, row.dueAt, ...row.columns, row.body, id, expect);
    if (written.changes === 0) return false;
    if (!row.waiting) return true;
    if (expect !== absent) forget.run(id);
    for (const approver of row.waiting) remember.run(approver, id);
    return true;
  }

  function drop({ kind, id }: WriteRow): void {
    of(kind).drop.run(id);
    if (kind === "approval") forget.run(id);
  }

  function limitsHold({ before, fewerWaiting, fewerAsked }: ChangeRows): boolean {
    const now = clock();
    if (before !== undefined && now >= before) return false;
    if (fewerWaiting && waitingOf.get(fewerWaiting.agent, now)!.waiting >= fewerWaiting.than) return false;
    return !fewerAsked || askedSince.get(fewerAsked.agent, fewerAsked.since)!.asked < fewerAsked.than;
  }

  return (change) => {
    if (!limitsHold(change)) return "conflict";
    const { writes } = change;
    // One guard may be the write itself, as long as it is the first: there is nothing to undo yet if it does not hold.
    const first = writes.findIndex(({ act }) => typeof act === "object");
    if (!writes.every((write, at) => at === first || holds(write))) return "conflict";
    if (first >= 0 && !put(writes[first]!, writes[first]!.act as PutRow)) return "conflict";
    writes.forEach((write, at) => {
      if (write.act === "drop") drop(write);
      else if (write.act !== "check" && at !== first && !put(write, write.act))
        throw new Error(`the ${write.kind} ${write.id} changed inside a transaction`);
    });
    for (const entry of change.entries) append(entry);
    return "committed";
  };
}

function statementsFor(connection: Connection, kind: Kind) {
  const columns = ["version", "due_at", ...columnsOf(kind), "body"];
  const values = ["id", ...columns].map(() => "?").join(", ");
  const updates = columns.map((name) => `${name} = ?`).join(", ");
  return {
    version: connection.prepare<{ version: number }>(`SELECT version FROM "${kind}" WHERE id = ?`),
    insert: connection.prepare(
      `INSERT INTO "${kind}" (id, ${columns.join(", ")}) VALUES (${values}) ON CONFLICT (id) DO NOTHING`,
    ),
    update: connection.prepare(`UPDATE "${kind}" SET ${updates} WHERE id = ? AND version = ?`),
    drop: connection.prepare(`DELETE FROM "${kind}" WHERE id = ?`),
  };
}
