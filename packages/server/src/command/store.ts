import { existsSync } from "node:fs";
import { getErrorMessage } from "@countersign/protocol";
import { exportLog, verifyLog } from "../audit/audit.ts";
import { isPostgres } from "../config/url-check.ts";
import { openStore } from "../store/open.ts";
import { openKeyring } from "../usecase/key/keyring.ts";
import type { Command } from "./cli/command.ts";
import { readConfig, readRootKey, toStoreError } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";

const copyCommand: Command = {
  name: "store copy",
  summary: "copy this deployment's SQLite store into an empty PostgreSQL one, and verify the log there",
  options: {
    to: {
      type: "string",
      value: "URL",
      summary:
        "postgres://account@host/database (default: the environment's COUNTERSIGN_COPY_TO, which may hold a password)",
    },
  },
  run: async (args, { stdout }) => {
    const config = readConfig(args);
    const to = args.option("to") ?? process.env.COUNTERSIGN_COPY_TO ?? "";
    if (isPostgres(config.store)) throw new OperatorError("the store is already PostgreSQL");
    if (!existsSync(config.store)) throw new OperatorError(`the database ${config.store} does not exist`);
    if (!isPostgres(to))
      throw new OperatorError("--to takes a URL like postgres://account@host/database", undefined, 2);
    const rootKey = readRootKey(config);
    const { copyToPostgres } = await import("../store/postgres/copy.ts");
    const { records, entries } = await copyToPostgres(config.store, { url: to }).catch((error: unknown) => {
      throw new OperatorError(`nothing was copied: ${getErrorMessage(error)}`);
    });
    const store = await openStore({ location: to, maxConnections: 2 });
    try {
      const keyring = await openKeyring(store, rootKey, config.issuer, config.log.origin);
      const notes = (await store.log.checkpoints()).map(({ note }) => note);
      const report = await verifyLog(exportLog(store.log, keyring.logKey), {
        key: keyring.logKey,
        checkpoints: notes,
      });
      if ("problems" in report)
        throw new OperatorError(
          "the log was copied, but the copy does not verify",
          "Check whether the original verifies: run countersign log verify on the old store.",
        );
    } finally {
      await store.close();
    }
    stdout(`copied ${records} records and ${entries} log entries; the log verifies there`);
    stdout(
      `Set store in the configuration, or COUNTERSIGN_STORE, to the new URL and start the server. Move ${config.store} away.`,
    );
  },
};

const migrateCommand: Command = {
  name: "store migrate",
  summary: "migrate the database to this version (start does this, too)",
  run: async (args, { stdout }) => {
    const { store: location } = readConfig(args);
    try {
      if (isPostgres(location)) {
        const { migratePostgres } = await import("../store/postgres/postgres.ts");
        const migrations = await migratePostgres(location);
        stdout(
          migrations.length === 0
            ? "nothing to do"
            : migrations.map((summary) => `migrated: ${summary}`).join("\n"),
        );
        return;
      }
      await (await openStore({ location })).close();
      stdout("nothing to do: the database has the schema of this version");
    } catch (error) {
      throw toStoreError(error);
    }
  },
};

export const storeCommands: readonly Command[] = [migrateCommand, copyCommand];
