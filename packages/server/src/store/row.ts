/**
 * Encodes a change as rows: the part of writing that both engines share. Encoding is synchronous, so later mutations
 * of the caller's objects do not reach the database, and a malformed change is rejected before anything is queued.
 */
import { entryLine } from "@countersign/protocol";
import type { NewEntry } from "../audit/new-entry.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import type { ColumnValue, RecordDefinition } from "./record/define-record.ts";
import { definitions, type Kind, type Records } from "./record/records.ts";
import type { Change, ChangeEvent, UnloggedChange, Write } from "./store.ts";

export type PutRow = {
  readonly dueAt: number | null;
  /** In the order of the definition. */
  readonly columns: readonly ColumnValue[];
  /** The record as JSON. */
  readonly body: string;
  /** Requests only: the approvers in whose inbox the request is from now on. Replaces the earlier list. */
  readonly waiting?: readonly string[];
};

export type WriteRow = {
  readonly kind: Kind;
  readonly id: string;
  /** The version that the record must have at commit; 0 if it must not exist. A put writes the next version. */
  readonly ifVersion: number;
  readonly act: "check" | "delete" | PutRow;
};

export type EntryRow = {
  readonly id: string;
  readonly request: string | null;
  /** The exact bytes of the leaf, as text. */
  readonly line: string;
  readonly texts: NewEntry["texts"];
};

type Guards = Pick<Change, "notOnOrAfter" | "maxPending" | "maxCreatedSince">;

export type ChangeRows = Guards & {
  readonly writes: readonly WriteRow[];
  readonly entries: readonly EntryRow[];
  /** Sent to watchers once the change is durable. */
  readonly changeEvents: readonly ChangeEvent[];
};

/**
 * Encodes a change. Throws if it has no log entry, or if it writes one record twice: a version guard cannot cover two
 * writes.
 */
export function encodeChange(change: Change): ChangeRows {
  if (change.entries.length === 0) throw new Error("a change without a log entry cannot be committed");
  return encodeRows(change);
}

/** Encodes a change without log entry. Also throws for kinds that require one. */
export function encodeUnloggedChange(change: UnloggedChange): ChangeRows {
  const rows = encodeRows({ ...change, entries: [] });
  const refused = rows.writes.find((write) => definitions[write.kind].logged);
  if (refused) throw new Error(`a record of kind ${refused.kind} cannot be written without a log entry`);
  return rows;
}

/** Returns the approvers in whose inbox the request is: its candidates while it is pending, otherwise none. */
export function listInboxes(request: ApprovalRequest): readonly string[] {
  return request.status.state === "pending" ? [...new Set(request.candidates)] : [];
}

function encodeRows({
  writes,
  entries,
  ...guards
}: Guards & { readonly writes: readonly Write[]; readonly entries: readonly NewEntry[] }): ChangeRows {
  const writeRows = writes.map(encodeWrite);
  const recordNames = new Set(writeRows.map((write) => `${write.kind} ${write.id}`));
  if (recordNames.size < writeRows.length) throw new Error("a change writes one record twice");
  return {
    ...guards,
    writes: writeRows,
    entries: entries.map(encodeEntry),
    changeEvents: writes.flatMap(changeEventsOf),
  };
}

function encodeWrite(write: Write): WriteRow {
  const { ifVersion } = write;
  if ("check" in write) return { kind: write.check, id: write.id, ifVersion, act: "check" };
  if ("delete" in write) return { kind: write.delete, id: write.id, ifVersion, act: "delete" };
  return encodePut(write.put, write.record, ifVersion);
}

function encodePut<K extends Kind>(kind: K, record: Records[K], ifVersion: number): WriteRow {
  const definition: RecordDefinition<Records[K]> = definitions[kind];
  const columns = Object.values(definition.columns).map((column) => column(record));
  const waiting = kind === "request" ? listInboxes(record as ApprovalRequest) : undefined;
  const dueAt = definition.dueAt(record);
  // Reject it here: the engine would reject it within a transaction that is shared with other changes.
  if (dueAt !== null && !Number.isSafeInteger(dueAt))
    throw new Error(`${dueAt} is not a valid due time of a ${kind}`);
  const act = { dueAt, columns, body: JSON.stringify(record), waiting };
  return { kind, id: definition.id(record), ifVersion, act };
}

function encodeEntry({ entry, texts }: NewEntry): EntryRow {
  return { id: entry.id, request: entry.request ?? null, line: entryLine(entry), texts };
}

function changeEventsOf(write: Write): readonly ChangeEvent[] {
  if ("put" in write && write.put === "request") {
    const { id, candidates, status, delivery } = write.record;
    return [{ requestId: id, candidates, state: status.state, delivery }];
  }
  return "delete" in write && write.delete === "request" ? [undefined] : [];
}
