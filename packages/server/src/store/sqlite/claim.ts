/** Leases what has to leave: found and leased in one transaction, and none is begun where there is nothing to lease. */

import { type HeldRow, parseHeld } from "../parse.ts";
import { type LeasedKind, leases, type Records } from "../record.ts";
import { type ChangeRows, passingRows } from "../row.ts";
import type { Held, Outcome, Store, Wanted, Write } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { GroupCommit } from "./group-commit.ts";
import { queries } from "./reader.ts";

export function claims(
  connection: Connection,
  group: GroupCommit,
  clock: () => number,
  write: (change: ChangeRows) => Outcome,
): Store["claim"] {
  const { prepare } = connection;
  const due = {
    message: prepare<HeldRow>(queries.claimableMessages),
    callback: prepare<HeldRow>(queries.claimableCallbacks),
  };
  const read = {
    message: prepare<HeldRow>(queries.read("message")),
    callback: prepare<HeldRow>(queries.read("callback")),
  };

  return async <K extends LeasedKind>(kind: K, wanted: Wanted) => {
    const found = (): readonly HeldRow[] =>
      "ids" in wanted
        ? [...new Set(wanted.ids)].flatMap((id) => read[kind].get(id) ?? [])
        : due[kind].all(clock(), wanted.limit);
    const lease = (row: HeldRow): readonly Held<K>[] => {
      const { record: was, version } = parseHeld(kind, row);
      const record: Records[K] | undefined = leases[kind](was, clock());
      if (!record) return [];
      write(passingRows({ writes: [{ put: kind, record, expect: version } as Write<LeasedKind>] }));
      return [{ record, version: version + 1 }];
    };
    if (found().length === 0) return [];
    return await group.submit(() => found().flatMap(lease));
  };
}
