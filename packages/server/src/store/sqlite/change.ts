/**
 * Writes one change within an open transaction. All guards are checked before the first row is written, so a conflict
 * leaves nothing to undo.
 */
import { type Kind, kinds } from "../record/records.ts";
import type { ChangeRows, PutRow, WriteRow } from "../row.ts";
import { absent, type Outcome } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { Append } from "./log.ts";
import { queries } from "./reader.ts";
import { columnsOf } from "./schema.ts";

/** Returns a function that writes one change. `clock` is read when the change is written. */
export function createChangeWriter(
  connection: Connection,
  clock: () => number,
  append: Append,
): (change: ChangeRows) => Outcome {
  const statements = new Map(kinds.map((kind) => [kind, prepareStatements(connection, kind)]));
  const deleteInbox = connection.prepare("DELETE FROM waiting WHERE request = ?");
  const insertInbox = connection.prepare("INSERT INTO waiting (approver, request) VALUES (?, ?)");
  const countPending = connection.prepare<{ count: number }>(queries.countPending);
  const countCreatedSince = connection.prepare<{ count: number }>(queries.countCreatedSince);
  const statementsOf = (kind: Kind) => statements.get(kind)!;

  function versionMatches({ kind, id, ifVersion }: WriteRow): boolean {
    return (statementsOf(kind).version.get(id)?.version ?? 0) === ifVersion;
  }

  /** Returns false, and writes nothing, if the record does not have the expected version. */
  function put({ kind, id, ifVersion }: WriteRow, row: PutRow): boolean {
    const { insert, update } = statementsOf(kind);
    const written =
      ifVersion === absent
        ? insert.run(id, 1, row.dueAt, ...row.columns, row.body)
        : update.run(ifVersion + 1, row.dueAt, ...row.columns, row.body, id, ifVersion);
    if (written.changes === 0) return false;
    if (!row.waiting) return true;
    if (ifVersion !== absent) deleteInbox.run(id);
    for (const approver of row.waiting) insertInbox.run(approver, id);
    return true;
  }

  function deleteRecord({ kind, id }: WriteRow): void {
    statementsOf(kind).remove.run(id);
    if (kind === "request") deleteInbox.run(id);
  }

  function guardsHold({ notOnOrAfter, maxPending, maxCreatedSince }: ChangeRows): boolean {
    const now = clock();
    if (notOnOrAfter !== undefined && now >= notOnOrAfter) return false;
    if (maxPending && countPending.get(maxPending.agent, now)!.count >= maxPending.limit) return false;
    return (
      !maxCreatedSince ||
      countCreatedSince.get(maxCreatedSince.agent, maxCreatedSince.since)!.count < maxCreatedSince.limit
    );
  }

  return (change) => {
    if (!guardsHold(change)) return "conflict";
    const { writes } = change;
    // The first put checks its version by itself: if it fails, there is nothing to undo yet.
    const first = writes.findIndex(({ act }) => typeof act === "object");
    if (!writes.every((write, at) => at === first || versionMatches(write))) return "conflict";
    if (first >= 0 && !put(writes[first]!, writes[first]!.act as PutRow)) return "conflict";
    writes.forEach((write, at) => {
      if (write.act === "delete") deleteRecord(write);
      else if (write.act !== "check" && at !== first && !put(write, write.act))
        throw new Error(`the ${write.kind} ${write.id} changed inside a transaction`);
    });
    for (const entry of change.entries) append(entry);
    return "committed";
  };
}

function prepareStatements(connection: Connection, kind: Kind) {
  const columns = ["version", "due_at", ...columnsOf(kind), "body"];
  const values = ["id", ...columns].map(() => "?").join(", ");
  const updates = columns.map((name) => `${name} = ?`).join(", ");
  return {
    version: connection.prepare<{ version: number }>(`SELECT version FROM "${kind}" WHERE id = ?`),
    insert: connection.prepare(
      `INSERT INTO "${kind}" (id, ${columns.join(", ")}) VALUES (${values}) ON CONFLICT (id) DO NOTHING`,
    ),
    update: connection.prepare(`UPDATE "${kind}" SET ${updates} WHERE id = ? AND version = ?`),
    remove: connection.prepare(`DELETE FROM "${kind}" WHERE id = ?`),
  };
}
