/**
 * Decides a batch of changes between its two round trips: which changes hold, each seeing those before it, and what
 * is left to write. Pure: the database has locked and returned the rows that the guards need. Conservative: a count
 * that an earlier change of the batch may have lowered is taken as read.
 */
import { definitions, type Kind } from "../record/records.ts";
import type { ChangeRows, EntryRow, PutRow, WriteRow } from "../row.ts";
import type { Outcome } from "../store.ts";

/** Rows read under locks. */
export type LockedRows = {
  /** The database's clock, in milliseconds. */
  readonly now: number;
  /** Versions of existing records, by `recordName`. */
  readonly versions: ReadonlyMap<string, number>;
  /** One count per change with such a guard, in batch order. */
  readonly pendingCounts: readonly number[];
  readonly createdCounts: readonly number[];
};

export type Plan = {
  readonly outcomes: readonly Outcome[];
  /** The final write of each record, with the version that it replaces. */
  readonly writes: readonly (WriteRow & { readonly act: "delete" | PutRow; readonly version: number })[];
  readonly entries: readonly EntryRow[];
};

export const recordName = ({ kind, id }: { readonly kind: Kind; readonly id: string }) => `${kind} ${id}`;

/** A request created by the batch, for the counting guards. */
type CreatedRequest = { readonly agent: unknown; readonly pendingUntil: number; readonly createdAt: number };

export function planBatch(batch: readonly ChangeRows[], found: LockedRows): Plan {
  const versions = new Map(found.versions);
  const writes = new Map<string, Plan["writes"][number]>();
  const entries: EntryRow[] = [];
  const created: CreatedRequest[] = [];
  const counts = { pending: found.pendingCounts.values(), created: found.createdCounts.values() };

  function guardsHold({ notOnOrAfter, maxPending, maxCreatedSince, writes: guarded }: ChangeRows): boolean {
    // Consume both counts, in batch order, whatever the outcome.
    const pendingCount = maxPending ? counts.pending.next().value! : 0;
    const createdCount = maxCreatedSince ? counts.created.next().value! : 0;
    if (notOnOrAfter !== undefined && found.now >= notOnOrAfter) return false;
    if (maxPending) {
      const more = created.filter((each) => each.agent === maxPending.agent && each.pendingUntil > found.now);
      if (pendingCount + more.length >= maxPending.limit) return false;
    }
    if (maxCreatedSince) {
      const { agent, since } = maxCreatedSince;
      const more = created.filter((each) => each.agent === agent && each.createdAt >= since);
      if (createdCount + more.length >= maxCreatedSince.limit) return false;
    }
    return guarded.every((write) => (versions.get(recordName(write)) ?? 0) === write.ifVersion);
  }

  const outcomes = batch.map((change): Outcome => {
    if (!guardsHold(change)) return "conflict";
    for (const write of change.writes) {
      const { act, ifVersion } = write;
      if (act === "check") continue;
      const name = recordName(write);
      writes.set(name, { ...write, act, version: writes.get(name)?.version ?? ifVersion });
      versions.set(name, act === "delete" ? 0 : ifVersion + 1);
      if (write.kind === "request" && act !== "delete" && ifVersion === 0)
        created.push(readCreatedRequest(act));
    }
    entries.push(...change.entries);
    return "committed";
  });
  return { outcomes, writes: [...writes.values()], entries };
}

const columnNames = Object.keys(definitions.request.columns);
const [agentAt, stateAt, createdAt, expiresAt] = ["agent", "state", "created_at", "expires_at"].map((name) =>
  columnNames.indexOf(name),
) as [number, number, number, number];

function readCreatedRequest({ columns }: PutRow): CreatedRequest {
  return {
    agent: columns[agentAt],
    pendingUntil: columns[stateAt] === "pending" ? Number(columns[expiresAt]) : 0,
    createdAt: Number(columns[createdAt]),
  };
}
