/** Leases what has to leave: found and leased in one transaction, and none is begun where there is nothing to lease. */

import { parseVersioned, type VersionedRow } from "../parse.ts";
import { type LeasedKind, leases, type Records } from "../record.ts";
import { type ChangeRows, encodeUnloggedChange } from "../row.ts";
import type { ClaimFilter, Outcome, Store, Versioned, Write } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { GroupCommit } from "./group-commit.ts";
import { queries } from "./reader.ts";

export function createClaim(
  connection: Connection,
  group: GroupCommit,
  clock: () => number,
  write: (change: ChangeRows) => Outcome,
): Store["claim"] {
  const { prepare } = connection;
  const due = {
    message: prepare<VersionedRow>(queries.claimableMessages),
    callback: prepare<VersionedRow>(queries.claimableCallbacks),
  };
  const read = {
    message: prepare<VersionedRow>(queries.read("message")),
    callback: prepare<VersionedRow>(queries.read("callback")),
  };

  return async <K extends LeasedKind>(kind: K, filter: ClaimFilter) => {
    const found = (): readonly VersionedRow[] =>
      "ids" in filter
        ? [...new Set(filter.ids)].flatMap((id) => read[kind].get(id) ?? [])
        : due[kind].all(clock(), filter.limit);
    const lease = (row: VersionedRow): readonly Versioned<K>[] => {
      const { record: current, version } = parseVersioned(kind, row);
      const record: Records[K] | undefined = leases[kind](current, clock());
      if (!record) return [];
      write(
        encodeUnloggedChange({ writes: [{ put: kind, record, ifVersion: version } as Write<LeasedKind>] }),
      );
      return [{ record, version: version + 1 }];
    };
    if (found().length === 0) return [];
    return await group.submit(() => found().flatMap(lease));
  };
}
