/** What a command works on: the configuration, and the store and keys that it names. Opened here, and always closed. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Config, loadConfig, problemText } from "../config/config.ts";
import { type Keyring, openKeyring } from "../keys/keyring.ts";
import { loadOutsideKey, type OutsideKey } from "../keys/outside-key.ts";
import { openSqlite } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import type { Arguments } from "./command.ts";
import { OperatorError } from "./operator-error.ts";

export function configFile(given: Arguments): string {
  return resolve(given.one("config") ?? "countersign.yaml");
}

export function readConfig(given: Arguments): Config {
  const file = configFile(given);
  const read = loadConfig(file);
  if ("problems" in read)
    throw new OperatorError(`${file} cannot be used:\n${read.problems.map(problemText).join("\n")}`);
  return read.config;
}

export function readOutsideKey(config: Config): OutsideKey {
  try {
    return loadOutsideKey(config.keyFile);
  } catch (error) {
    const why =
      error instanceof Error && "code" in error && error.code === "ENOENT"
        ? "it is not there"
        : (error as Error).message;
    throw new OperatorError(
      `the key from outside the database cannot be read: ${why}`,
      `Put the key file back at ${config.keyFile}, or set COUNTERSIGN_KEY. A new key cannot open what the old one sealed.`,
    );
  }
}

/** Runs `work` with the store open. Another process, the server too, may have it open at the same time. */
export async function withStore<T>(
  given: Arguments,
  work: (store: Store, config: Config) => Promise<T>,
): Promise<T> {
  const config = readConfig(given);
  if (!existsSync(config.store) && !existsSync(config.keyFile) && !process.env.COUNTERSIGN_KEY)
    throw new OperatorError(
      `neither ${config.store} nor ${config.keyFile} is there`,
      "countersign init creates them",
    );
  const store = openSqlite({ path: config.store });
  try {
    return await work(store, config);
  } finally {
    await store.close();
  }
}

export function withKeyring<T>(
  given: Arguments,
  work: (store: Store, config: Config, keyring: Keyring, outside: OutsideKey) => Promise<T>,
): Promise<T> {
  return withStore(given, async (store, config) => {
    const outside = readOutsideKey(config);
    const keyring = await openKeyring(store, outside, config.issuer, config.log.origin);
    return await work(store, config, keyring, outside);
  });
}
