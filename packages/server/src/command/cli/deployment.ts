/**
 * Opens what a command works on (configuration, store, keys) and closes it afterwards. A missing store is an error and is
 * never created on the way: an empty one would have no denials and no log.
 */

import { existsSync, mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { getErrorMessage } from "@countersign/protocol";
import { createCheckpointWriter } from "../../audit/checkpoint-file.ts";
import { type Config, formatProblem, type LoadedConfig, loadConfig } from "../../config/config.ts";
import { isPostgres } from "../../config/url-check.ts";
import { createRootKey, loadRootKey, type RootKey } from "../../crypto/root-key.ts";
import { openStore } from "../../store/open.ts";
import type { Store } from "../../store/store.ts";
import { StoreNotFoundError } from "../../store/store-not-found-error.ts";
import { writeCheckpoint } from "../../usecase/audit/checkpoint.ts";
import { type Keyring, openKeyring } from "../../usecase/key/keyring.ts";
import type { Arguments } from "./command.ts";
import { OperatorError } from "./operator-error.ts";

export function resolveConfigFile(args: Arguments): string {
  return resolve(args.option("config") ?? "countersign.yaml");
}

export function readConfig(args: Arguments): Config {
  return readLoadedConfig(args).config;
}

/** Reads the configuration and the values that it was read from. */
export function readLoadedConfig(args: Arguments): LoadedConfig {
  const file = resolveConfigFile(args);
  const result = loadConfig(file);
  if ("problems" in result)
    throw new OperatorError(`${file} cannot be used:\n${result.problems.map(formatProblem).join("\n")}`);
  // A database password does not belong in a reviewed file.
  const storeFromEnv = process.env.COUNTERSIGN_STORE;
  return storeFromEnv ? { ...result, config: { ...result.config, store: storeFromEnv } } : result;
}

/** Creates the root key and store of a new deployment. Returns what was created: nothing if the store exists. */
export async function createDeployment(config: Config): Promise<readonly string[]> {
  const { store, keyFile } = config;
  if (await exists(store)) return [];
  const keyFromEnv = Boolean(process.env.COUNTERSIGN_KEY);
  if (!keyFromEnv && existsSync(keyFile))
    throw new OperatorError(
      `the root key ${keyFile} exists, but its database ${store} does not`,
      "Restore the database. To start over with an empty log and no denials, move the key away first.",
    );
  // No directory for a value from the environment: the default path may not be writable.
  for (const file of [...(isPostgres(store) ? [] : [store]), ...(keyFromEnv ? [] : [keyFile])])
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if (!keyFromEnv) createRootKey(keyFile);
  const newStore = await openExisting(store, true);
  try {
    await openKeys(newStore, config);
  } finally {
    await newStore.close();
  }
  const storeLabel = isPostgres(store) ? "the tables in PostgreSQL" : store;
  return keyFromEnv ? [storeLabel] : [keyFile, storeLabel];
}

export function readRootKey(config: Config): RootKey {
  try {
    return loadRootKey(config.keyFile);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new OperatorError(
      `the root key cannot be read: ${missing ? `${config.keyFile} does not exist` : getErrorMessage(error)}`,
      "Restore the key file, or set COUNTERSIGN_KEY. A new key cannot decrypt what the old one encrypted.",
    );
  }
}

/** Converts an error of opening the store: an operator can fix it. */
export function toStoreError(error: unknown): OperatorError {
  if (!(error instanceof StoreNotFoundError)) return new OperatorError(getErrorMessage(error));
  return new OperatorError(
    error.message,
    "Create a new one with countersign init, or restore a lost one from its backup.",
  );
}

/** Opens the store with few connections: a command does one thing at a time. */
async function openExisting(location: string, create = false): Promise<Store> {
  try {
    return await openStore({ location, create, maxConnections: 2 });
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Returns true if the database exists. */
async function exists(location: string): Promise<boolean> {
  try {
    await (await openStore({ location, maxConnections: 1 })).close();
    return true;
  } catch (error) {
    if (error instanceof StoreNotFoundError) return false;
    throw toStoreError(error);
  }
}

async function openKeys(store: Store, config: Config): Promise<Keyring> {
  const rootKey = readRootKey(config);
  try {
    return await openKeyring(store, rootKey, config.issuer, config.log.origin);
  } catch (error) {
    throw new OperatorError(getErrorMessage(error));
  }
}

/** Runs `work` with the store open. Other processes, such as the server, may have it open at the same time. */
export async function withStore<T>(
  args: Arguments,
  work: (store: Store, config: Config) => Promise<T>,
): Promise<T> {
  const config = readConfig(args);
  const store = await openExisting(config.store);
  try {
    return await work(store, config);
  } finally {
    await store.close();
  }
}

export function withKeyring<T>(
  args: Arguments,
  work: (store: Store, config: Config, keyring: Keyring) => Promise<T>,
): Promise<T> {
  return withStore(args, async (store, config) => await work(store, config, await openKeys(store, config)));
}

/** Sequences waiting log entries and signs a checkpoint, as the server's checkpoint job does. */
export async function writeCheckpointNow(store: Store, config: Config, keyring: Keyring): Promise<void> {
  const append = createCheckpointWriter(config.log.checkpointFile);
  const publish = (note: string) =>
    append(note).catch((error: unknown) => {
      throw new OperatorError(`the checkpoint file cannot be written: ${getErrorMessage(error)}`);
    });
  await writeCheckpoint({ store, signCheckpoint: keyring.signCheckpoint, publish });
}

/** Returns the request id of a request id or of an `auth_req_id`, which begins with it. */
export function parseRequestId(text: string): string {
  return text.split(".")[0] ?? "";
}
