/**
 * What a change looks like in rows: the part of writing that is the same for every engine. Encoding happens when the
 * change is handed over, so that nothing the caller does to its objects afterwards reaches the database, and a change
 * that is malformed is a fault before anything is queued.
 */
import { entryLine } from "@countersign/protocol";
import type { NewEntry } from "../audit/new-entry.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import type { ColumnValue, RecordDefinition } from "./record/define-record.ts";
import { definitions, type Kind, type Records } from "./record/records.ts";
import type { Change, ChangeEvent, UnloggedChange, Write } from "./store.ts";

export type PutRow = {
  readonly dueAt: number | null;
  /** In the order in which the definition names them. */
  readonly columns: readonly ColumnValue[];
  /** The record as JSON. */
  readonly body: string;
  /** For an approval: the approvers in whose inbox it is from now on, instead of those before. */
  readonly waiting?: readonly string[];
};

export type WriteRow = {
  readonly kind: Kind;
  readonly id: string;
  /** The version that must still be there; 0 for none. What is put gets the next one. */
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
  /** What watchers are told once the change is durable. */
  readonly changeEvents: readonly ChangeEvent[];
};

/** Throws for a change that says nothing to the log, or names a record twice: no guard could speak for both. */
export function encodeChange(change: Change): ChangeRows {
  if (change.entries.length === 0) throw new Error("a change without a log entry cannot be committed");
  return encodeRows(change);
}

/** Throws also for a kind that holds a decision or authority. */
export function encodeUnloggedChange(change: UnloggedChange): ChangeRows {
  const rows = encodeRows({ ...change, entries: [] });
  const refused = rows.writes.find((write) => definitions[write.kind].logged);
  if (refused) throw new Error(`a record of kind ${refused.kind} cannot be written without a log entry`);
  return rows;
}

/** Approvers in whose inbox an approval is: its candidates while it is written as pending, then nobody. */
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
  if (recordNames.size < writeRows.length) throw new Error("a change names one record twice");
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
  // An engine would refuse it in the middle of a transaction that others share.
  if (dueAt !== null && !Number.isSafeInteger(dueAt)) throw new Error(`${dueAt} is no instant of a ${kind}`);
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
