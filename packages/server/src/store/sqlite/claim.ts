/** Leases due outbox records in one transaction. Begins none if no record is due. */
import { parseVersioned, type VersionedRow } from "../parse.ts";
import type { RecordDefinition } from "../record/define-record.ts";
import { definitions, type LeasedKind, leasedKinds, type Records } from "../record/records.ts";
import { type ChangeRows, encodeUnloggedChange } from "../row.ts";
import type { ClaimFilter, Outcome, Store, Versioned, Write } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { GroupCommit } from "./group-commit.ts";
import { claimableSql, queries } from "./reader.ts";

export function createClaim(
  connection: Connection,
  group: GroupCommit,
  clock: () => number,
  write: (change: ChangeRows) => Outcome,
): Store["claim"] {
  const { prepare } = connection;
  const statements = new Map(
    leasedKinds.map((kind) => [
      kind,
      {
        due: prepare<VersionedRow>(claimableSql(kind)),
        read: prepare<VersionedRow>(queries.read(kind)),
      },
    ]),
  );

  return async <K extends LeasedKind>(kind: K, filter: ClaimFilter) => {
    const { due, read } = statements.get(kind)!;
    const definition: RecordDefinition<Records[K]> = definitions[kind];
    const readDue = (): readonly VersionedRow[] =>
      "ids" in filter
        ? [...new Set(filter.ids)].flatMap((id) => read.get(id) ?? [])
        : due.all(clock(), filter.limit);
    const lease = (row: VersionedRow): readonly Versioned<K>[] => {
      const { record: current, version } = parseVersioned(kind, row);
      const record = definition.lease(current, clock());
      if (!record) return [];
      write(
        encodeUnloggedChange({ writes: [{ put: kind, record, ifVersion: version } as Write<LeasedKind>] }),
      );
      return [{ record, version: version + 1 }];
    };
    if (readDue().length === 0) return [];
    return await group.submit(() => readDue().flatMap(lease));
  };
}
