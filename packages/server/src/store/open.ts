/** Opens the store of the configuration: PostgreSQL for a `postgres://` URL, otherwise a SQLite file. */
import { existsSync } from "node:fs";
import { isPostgres } from "../config/url-check.ts";
import type { Store } from "./store.ts";
import { StoreNotFoundError } from "./store-not-found-error.ts";

export type StoreOptions = {
  /** Path of a SQLite file, or a `postgres://` URL. */
  readonly location: string;
  /**
   * Create the database if it does not exist. Default: false, because starting empty would silently lose all denials
   * and the log.
   */
  readonly create?: boolean;
  /** Milliseconds since the epoch. Default: `Date.now`. SQLite only: PostgreSQL uses the clock of the database. */
  readonly clock?: (() => number) | undefined;
  /** Maximum number of connections of this process (PostgreSQL only). */
  readonly maxConnections?: number;
  /** Called when a connection was opened, could not be opened, or was lost while in use (PostgreSQL only). */
  readonly onConnection?: ((event: "opened" | "lost" | "failed") => void) | undefined;
  /** Called with a sentence after an older SQLite file was migrated. Default: a line on standard error. */
  readonly onMigrated?: ((message: string) => void) | undefined;
};

/**
 * Throws an `Error` that names the location if the store cannot be opened, or if it does not exist and `create` is
 * not set.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { location, create, clock, maxConnections, onConnection } = options;
  const onMigrated =
    options.onMigrated ?? ((message: string) => process.stderr.write(`countersign: ${message}\n`));
  // Load only the engine in use.
  if (isPostgres(location)) {
    const { openPostgres } = await import("./postgres/postgres.ts");
    return await openPostgres({
      url: location,
      create: create === true,
      ...(maxConnections && { maxConnections }),
      ...(onConnection && { onConnection }),
    });
  }
  if (!create && !existsSync(location)) throw new StoreNotFoundError(location);
  const { openSqlite } = await import("./sqlite/sqlite.ts");
  return openSqlite({ path: location, onMigrated, ...(clock && { clock }) });
}
