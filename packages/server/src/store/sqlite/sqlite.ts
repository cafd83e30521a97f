/**
 * SQLite engine: one file, no server to install. Writes of one turn of the event loop share a transaction and an
 * fsync; reads are synchronous and see committed data only. Other processes on the same machine may open the file at
 * the same time (not over a network file system).
 */
import { type ChangeRows, encodeChange, encodeUnloggedChange } from "../row.ts";
import type { Outcome, Store } from "../store.ts";
import { createChangeWriter } from "./change.ts";
import { createClaim } from "./claim.ts";
import { openConnection } from "./connection.ts";
import { createGroupCommit } from "./group-commit.ts";
import { createLog, createLogAppender } from "./log.ts";
import { createReaders } from "./reader.ts";
import { openWatchers } from "./watch.ts";

export type SqliteOptions = {
  /** Path of the file; `":memory:"` for a database that ends with the handle. */
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
  /** Called with a sentence after an older file was migrated. */
  readonly onMigrated?: ((message: string) => void) | undefined;
};

/**
 * Throws an `Error` that names the path if the file cannot be opened, belongs to another program, or is of a newer
 * version.
 */
export function openSqlite({ path, clock = Date.now, onMigrated }: SqliteOptions): Store {
  const connection = openConnection(path, onMigrated);
  const group = createGroupCommit(connection);
  const write = createChangeWriter(connection, clock, createLogAppender(connection));
  const watchers = openWatchers(connection);

  async function submit(change: ChangeRows): Promise<Outcome> {
    const outcome = await group.submit(() => write(change));
    if (outcome === "committed") watchers.notify(change.changeEvents);
    return outcome;
  }

  return {
    now: clock,
    ...createReaders(connection, clock),
    commit: async (change) => submit(encodeChange(change)),
    commitUnlogged: async (change) => submit(encodeUnloggedChange(change)),
    claim: createClaim(connection, group, clock, write),
    log: createLog(connection, group),
    watch: watchers.watch,
    close: async () => {
      watchers.close();
      group.flush();
      connection.close();
    },
  };
}
