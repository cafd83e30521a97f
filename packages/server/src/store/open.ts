/** From the `store` of the configuration to a store: a file is SQLite, `postgres://` is PostgreSQL. */
import { existsSync } from "node:fs";
import { isPostgres } from "../config/url-check.ts";
import type { Store } from "./store.ts";
import { StoreNotFoundError } from "./store-not-found-error.ts";

export type StoreOptions = {
  /** The path of a file, or a URL. */
  readonly location: string;
  /** Only the first start of a deployment makes a database: with a lost one go every latch, and the log. */
  readonly create?: boolean;
  /** Replaces the machine's clock. PostgreSQL has its own. */
  readonly clock?: (() => number) | undefined;
  /** Connections of this process, where the engine has them. */
  readonly maxConnections?: number;
  /** Hears of each connection that was opened, could not be made, or was lost while it was wanted. */
  readonly onConnection?: ((event: "opened" | "lost" | "failed") => void) | undefined;
  /** Called with a sentence after an older SQLite file was migrated. Default: a line on standard error. */
  readonly onMigrated?: ((message: string) => void) | undefined;
};

/** Throws an `Error` that names the place if it cannot be opened, or if there is nothing and nothing is to be made. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { location, create, clock, maxConnections, onConnection } = options;
  const onMigrated =
    options.onMigrated ?? ((message: string) => process.stderr.write(`countersign: ${message}\n`));
  // Each engine is loaded only where it is used.
  if (isPostgres(location)) {
    const { openPostgres } = await import("./postgres/postgres.ts");
    return await openPostgres({
      url: location,
      create: create === true,
      ...(maxConnections && { maxConnections: maxConnections }),
      ...(onConnection && { onConnection }),
    });
  }
  if (!create && !existsSync(location)) throw new StoreNotFoundError(location);
  const { openSqlite } = await import("./sqlite/sqlite.ts");
  return openSqlite({ path: location, onMigrated, ...(clock && { clock }) });
}
