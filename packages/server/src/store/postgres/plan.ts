/**
 * What a batch of changes comes to, decided here between two trips to the database: which of them hold, in order, each
 * seeing those before it, and what is left to write. Pure: the database has locked what the batch looks at, and told
 * what is there. It never guesses: a count that an earlier change of the batch may have lowered is taken as it was.
 */
import { type Kind, tables } from "../record.ts";
import type { ChangeRows, EntryRow, PutRow, WriteRow } from "../row.ts";
import type { Outcome } from "../store.ts";

/** What the database said, under locks. */
export type Found = {
  /** The database's clock, in milliseconds. */
  readonly now: number;
  /** Versions of records that are there, by `nameOf`. */
  readonly versions: ReadonlyMap<string, number>;
  /** For each change with such a guard, in order of the batch. */
  readonly waiting: readonly number[];
  readonly asked: readonly number[];
};

export type Plan = {
  readonly outcomes: readonly Outcome[];
  /** The last word on each record that is written, with the version that it replaces. */
  readonly writes: readonly (WriteRow & { readonly act: "drop" | PutRow; readonly version: number })[];
  readonly entries: readonly EntryRow[];
};

export const nameOf = ({ kind, id }: { readonly kind: Kind; readonly id: string }) => `${kind} ${id}`;

/** A request that the batch has made so far, as the counting guards see it. */
type Made = { readonly agent: unknown; readonly waitsUntil: number; readonly createdAt: number };

export function planBatch(batch: readonly ChangeRows[], found: Found): Plan {
  const versions = new Map(found.versions);
  const writes = new Map<string, Plan["writes"][number]>();
  const entries: EntryRow[] = [];
  const made: Made[] = [];
  const counts = { waiting: found.waiting.values(), asked: found.asked.values() };

  function holds({ before, fewerWaiting, fewerAsked, writes: guarded }: ChangeRows): boolean {
    // Both are taken, in order, whatever becomes of the change.
    const waiting = fewerWaiting ? counts.waiting.next().value! : 0;
    const asked = fewerAsked ? counts.asked.next().value! : 0;
    if (before !== undefined && found.now >= before) return false;
    if (fewerWaiting) {
      const more = made.filter((one) => one.agent === fewerWaiting.agent && one.waitsUntil > found.now);
      if (waiting + more.length >= fewerWaiting.than) return false;
    }
    if (fewerAsked) {
      const { agent, since } = fewerAsked;
      const more = made.filter((one) => one.agent === agent && one.createdAt >= since);
      if (asked + more.length >= fewerAsked.than) return false;
    }
    return guarded.every((write) => (versions.get(nameOf(write)) ?? 0) === write.expect);
  }

  const outcomes = batch.map((change): Outcome => {
    if (!holds(change)) return "conflict";
    for (const write of change.writes) {
      const { act, expect } = write;
      if (act === "check") continue;
      const name = nameOf(write);
      writes.set(name, { ...write, act, version: writes.get(name)?.version ?? expect });
      versions.set(name, act === "drop" ? 0 : expect + 1);
      if (write.kind === "approval" && act !== "drop" && expect === 0) made.push(readMade(act));
    }
    entries.push(...change.entries);
    return "committed";
  });
  return { outcomes, writes: [...writes.values()], entries };
}

const names = Object.keys(tables.approval.columns);
const [agentAt, stateAt, createdAt, expiresAt] = ["agent", "state", "created_at", "expires_at"].map((name) =>
  names.indexOf(name),
) as [number, number, number, number];

function readMade({ columns }: PutRow): Made {
  return {
    agent: columns[agentAt],
    waitsUntil: columns[stateAt] === "pending" ? Number(columns[expiresAt]) : 0,
    createdAt: Number(columns[createdAt]),
  };
}
