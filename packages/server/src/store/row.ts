/**
 * What a change looks like in rows: the part of writing that is the same for every engine. Encoding happens when the
 * change is handed over, so that nothing the caller does to its objects afterwards reaches the database, and a change
 * that is malformed is a fault before anything is queued.
 */
import { entryLine } from "@countersign/protocol";
import type { Approval } from "../approval/approval.ts";
import { type Column, type Kind, passingKinds, type Records, type Table, tables } from "./record.ts";
import type { Change, NewEntry, PassingChange, Wake, Write } from "./store.ts";

export type PutRow = {
  readonly dueAt: number | null;
  /** In the order in which `tables` names them. */
  readonly columns: readonly Column[];
  /** The record as JSON. */
  readonly body: string;
  /** For an approval: the approvers in whose inbox it is from now on, instead of those before. */
  readonly waiting?: readonly string[];
};

export type WriteRow = {
  readonly kind: Kind;
  readonly id: string;
  /** The version that must still be there; 0 for none. What is put gets the next one. */
  readonly expect: number;
  readonly act: "check" | "drop" | PutRow;
};

export type EntryRow = {
  readonly id: string;
  readonly request: string | null;
  /** The exact bytes of the leaf, as text. */
  readonly line: string;
  readonly texts: NewEntry["texts"];
};

type Guards = Pick<Change, "before" | "fewerWaiting" | "fewerAsked">;

export type ChangeRows = Guards & {
  readonly writes: readonly WriteRow[];
  readonly entries: readonly EntryRow[];
  /** What watchers are told once the change is durable. */
  readonly wakes: readonly Wake[];
};

/** Throws for a change that says nothing to the log, or names a record twice: no guard could speak for both. */
export function changeRows(change: Change): ChangeRows {
  if (change.entries.length === 0) throw new Error("a change without a log entry cannot be committed");
  return rows(change);
}

/** Throws also for a kind that holds a decision or authority. */
export function passingRows(change: PassingChange): ChangeRows {
  const kinds: readonly Kind[] = passingKinds;
  const found = rows({ ...change, entries: [] });
  const refused = found.writes.find((write) => !kinds.includes(write.kind));
  if (refused) throw new Error(`a record of kind ${refused.kind} cannot be written without a log entry`);
  return found;
}

/** Approvers in whose inbox an approval is: its candidates while it is written as pending, then nobody. */
export function inboxes(approval: Approval): readonly string[] {
  return approval.standing.state === "pending" ? [...new Set(approval.candidates)] : [];
}

function rows({
  writes,
  entries,
  ...guards
}: Guards & { readonly writes: readonly Write[]; readonly entries: readonly NewEntry[] }): ChangeRows {
  const written = writes.map(writeRow);
  const names = new Set(written.map((write) => `${write.kind} ${write.id}`));
  if (names.size < written.length) throw new Error("a change names one record twice");
  return { ...guards, writes: written, entries: entries.map(entryRow), wakes: writes.flatMap(wakesOf) };
}

function writeRow(write: Write): WriteRow {
  const { expect } = write;
  if ("check" in write) return { kind: write.check, id: write.id, expect, act: "check" };
  if ("drop" in write) return { kind: write.drop, id: write.id, expect, act: "drop" };
  return putRow(write.put, write.record, expect);
}

function putRow<K extends Kind>(kind: K, record: Records[K], expect: number): WriteRow {
  const table: Table<Records[K]> = tables[kind];
  const columns = Object.values(table.columns).map((column) => column(record));
  const waiting = kind === "approval" ? inboxes(record as Approval) : undefined;
  const dueAt = table.dueAt(record);
  // An engine would refuse it in the middle of a transaction that others share.
  if (dueAt !== null && !Number.isSafeInteger(dueAt)) throw new Error(`${dueAt} is no instant of a ${kind}`);
  const act = { dueAt, columns, body: JSON.stringify(record), waiting };
  return { kind, id: table.id(record), expect, act };
}

function entryRow({ entry, texts }: NewEntry): EntryRow {
  return { id: entry.id, request: entry.request ?? null, line: entryLine(entry), texts };
}

function wakesOf(write: Write): readonly Wake[] {
  if ("put" in write && write.put === "approval") {
    const { id, candidates, standing, delivery } = write.record;
    return [{ approval: id, candidates, state: standing.state, delivery }];
  }
  return "drop" in write && write.drop === "approval" ? [undefined] : [];
}
