import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { getErrorMessage } from "@countersign/protocol";
import { isPostgres } from "../config/url-check.ts";
import { openStore } from "../store/open.ts";
import type { Command } from "./cli/command.ts";
import { readConfig } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";

export const backupCommand: Command = {
  name: "backup",
  args: "<file>",
  summary: "copy the database to a new file, also while the server runs; checks the copy",
  run: async (args, { stdout }) => {
    const config = readConfig(args);
    if (isPostgres(config.store))
      throw new OperatorError(
        "backup supports SQLite only, and this store is PostgreSQL",
        "Use pg_dump or continuous archiving, and keep the root key in a separate place.",
      );
    if (!existsSync(config.store))
      throw new OperatorError(`the database ${config.store} does not exist`, "Create it: countersign init");
    const to = resolve(args.positionals[0] ?? "");
    const { backupSqlite } = await import("../store/sqlite/backup.ts");
    await backupSqlite(config.store, to).catch((error: unknown) => {
      throw new OperatorError(`no backup was made: ${getErrorMessage(error)}`);
    });
    const copy = await openStore({ location: to });
    try {
      const checkpoint = await copy.log.newestCheckpoint();
      stdout(
        `${to} contains ${await copy.log.size()} log entries; the newest checkpoint covers ${checkpoint?.size ?? 0}`,
      );
      stdout(`It does not contain the root key ${config.keyFile}: back that up elsewhere.`);
    } finally {
      await copy.close();
    }
  },
};
