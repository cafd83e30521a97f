/** What every module can use: configuration, store, directory, keys, and calls to other servers. */
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { createSource, type PolicySource } from "../config/policy.ts";
import type { Policy, Settings } from "../config/sections.ts";
import type { RootKey } from "../crypto/root-key.ts";
import type { Directory } from "../directory/directory.ts";
import { type DirectoryDeps, openDirectory } from "../directory/open-directory.ts";
import type { Logger } from "../logging/logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { createOutbound, type Outbound } from "../outbound/outbound.ts";
import type { SignInMethod } from "../signin/sign-in-method.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { publishActionTypes } from "../usecase/client/publish-action-types.ts";
import { reconcileAgents } from "../usecase/client/reconcile-agents.ts";
import { type Keyring, openKeyring } from "../usecase/key/keyring.ts";

export type ServerDepsOptions = {
  readonly config: Config;
  readonly rootKey: RootKey;
  /** Called with every unexpected error and the operation in which it occurred. */
  readonly onFault: (fault: unknown, where: string) => void;
  /** Default: nothing is measured. */
  readonly metrics?: Metrics;
  /** Default: nothing is logged. */
  readonly logger?: Logger;
  /** Create the database if it does not exist. For tests; default: false. */
  readonly createStore?: boolean;
  /** Replaces the directory that the configuration chooses. For tests. */
  readonly openDirectory?: (deps: DirectoryDeps) => Directory;
  /** Further sign-in methods. For tests. */
  readonly signInMethods?: readonly SignInMethod[];
  /** Where the log channel prints. Default: standard output. */
  readonly print?: (line: string) => void;
  /** Replaces the system's clock (milliseconds since the epoch). For tests. */
  readonly clock?: () => number;
  /** Minimum time between rendering and submitting a form, in milliseconds. For tests; default: 700. */
  readonly minFormAgeMs?: number;
};

export type ServerDeps = Pick<
  ServerDepsOptions,
  "rootKey" | "onFault" | "metrics" | "logger" | "signInMethods" | "print" | "minFormAgeMs"
> & {
  readonly settings: Settings;
  readonly policy: PolicySource;
  /** Its commits are measured and logged. */
  readonly store: Store;
  readonly directory: Directory;
  readonly keyring: Keyring;
  readonly outbound: Outbound;
};

/**
 * Opens the store and the keys, and brings the store to the configuration: action types are published and declared agents
 * reconciled before the first request. Rejects if one of these fails; the store is closed.
 */
export async function openServerDeps(
  options: ServerDepsOptions,
): Promise<{ readonly deps: ServerDeps; readonly replacePolicy: (next: Policy) => void }> {
  const { config, rootKey, metrics, logger } = options;
  const { caFile, ...outboundPolicy } = config.outbound;
  const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
  const policy = createSource<Policy>(config);
  const openedStore = await openStore({
    location: config.store,
    create: options.createStore === true,
    clock: options.clock,
    onConnection: metrics?.onConnection,
  });
  const measuredStore = metrics?.observe(openedStore) ?? openedStore;
  const store = logger?.observe(measuredStore) ?? measuredStore;
  try {
    const keyring = await openKeyring(store, rootKey, config.issuer, config.log.origin);
    await publishActionTypes(store, config);
    await reconcileAgents(store, config);
    const deps: ServerDeps = {
      ...options,
      settings: config,
      policy,
      store,
      keyring,
      directory: (options.openDirectory ?? openDirectory)({ settings: config, policy, store }),
      outbound: createOutbound({ ...outboundPolicy, ca }),
    };
    return { deps, replacePolicy: policy.replace };
  } catch (error) {
    await store.close();
    throw error;
  }
}
