/**
 * Countersign's server: the only place where things are wired. `createServer` takes a configuration and answers a
 * `fetch`, so that it runs behind any listener and tests need no socket. It starts the rounds that nobody asks for
 * (sweeping, delivering, signing the log) and ends them.
 */

import { readFileSync } from "node:fs";
import { createDpopNonces, isLoopbackHost } from "@countersign/protocol";
import { createCheckpointWriter } from "./audit/checkpoint-file.ts";
import { closeChannels, openChannels } from "./channel/registry.ts";
import type { Config, ConfigProblems, LoadedConfig } from "./config/config.ts";
import type { ConfigValues } from "./config/digest.ts";
import { createSource, type PolicySource } from "./config/policy.ts";
import type { Policy } from "./config/sections.ts";
import { createAuthReqIds } from "./crypto/auth-req-id.ts";
import { loadLoginHintKeys } from "./crypto/login-hint-key.ts";
import { createMac, type RootKey } from "./crypto/root-key.ts";
import { createSeal, createSecretSeal } from "./crypto/seal.ts";
import type { Directory } from "./directory/directory.ts";
import { openDirectory } from "./directory/open-directory.ts";
import { type App, type AppDeps, createApp, createProtocolApp } from "./http/app.ts";
import { listProofUrls } from "./http/oauth/dpop.ts";
import { buildEndpointUrls } from "./http/oauth/endpoint/discovery.ts";
import { encodeNotification } from "./http/oauth/notification.ts";
import { createPageRenderer } from "./http/page/page-renderer.ts";
import { createBrowserSessions } from "./http/page/session.ts";
import type { Access } from "./http/route.ts";
import { createRoutes } from "./http/routes.ts";
import { anonymousPeer, type TlsPeer } from "./http/transport/peer.ts";
import { createCallbackSender } from "./job/callback-sender.ts";
import { createCallbackWorker } from "./job/callback-worker.ts";
import { deliver } from "./job/deliver-message.ts";
import { scheduleMissedUpdates, watchForUpdates } from "./job/schedule-updates.ts";
import { createScheduler } from "./job/scheduler.ts";
import { sweep } from "./job/sweep.ts";
import type { Logger } from "./logging/logger.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { createClientJwtVerifier } from "./outbound/client-jwt-verifier.ts";
import { createJwksCache } from "./outbound/jwks-cache.ts";
import { createOutbound } from "./outbound/outbound.ts";
import { openPermission } from "./permission/permission.ts";
import type { SignInMethod } from "./signin/sign-in-method.ts";
import { createSignInMethods } from "./signin/sign-in-methods.ts";
import { openStore } from "./store/open.ts";
import { sweptKinds } from "./store/record/records.ts";
import type { Store } from "./store/store.ts";
import { openTelemetry } from "./tracing/tracing.ts";
import { writeCheckpoint } from "./usecase/audit/checkpoint.ts";
import { publishTypes } from "./usecase/client/publish-action-types.ts";
import { reconcileAgents } from "./usecase/client/reconcile-agents.ts";
import { type Keyring, openKeyring } from "./usecase/key/keyring.ts";
import { createPolicyReloader, type ReloadResult } from "./usecase/policy/reload-policy.ts";
import { createPollWaiters } from "./usecase/token/long-poll.ts";
import { createPollLimiter } from "./usecase/token/poll-limiter.ts";

export type Server = {
  /** `peer` is who TLS says is calling; whoever listens knows. */
  readonly fetch: (request: Request, peer?: TlsPeer) => Response | Promise<Response>;
  /** The same for what agents and APIs call, without the pages. */
  readonly protocol: (request: Request, peer?: TlsPeer) => Response | Promise<Response>;
  /** The same two for a listener, which need not make a `Request` of everything. */
  readonly apps: { readonly app: App; readonly protocol: App };
  /** Every route of the server. */
  readonly routes: readonly { readonly method: string; readonly path: string; readonly access: Access }[];
  readonly store: Store;
  readonly directory: Directory;
  readonly keyring: Keyring;
  /** Answers those whose polls are being held, so that a listener can be closed; `close` does too. */
  readonly beginShutdown: () => void;
  /** Makes every round once, now: for tests. */
  readonly runJobs: () => Promise<void>;
  /** Reloads the policy from the configuration file. Undefined if the server was created without a file. */
  readonly reload?: () => Promise<ReloadResult>;
  readonly close: () => Promise<void>;
};

export type ServerOptions = {
  readonly config: Config;
  readonly rootKey: RootKey;
  /** For `reload`: the values that `config` was read from, and a function that reads them again. */
  readonly file?: {
    readonly values: ConfigValues;
    readonly load: () => LoadedConfig | ConfigProblems;
  };
  /** Hears of every fault, whole, with where it happened. */
  readonly onFault: (fault: unknown, where: string) => void;
  /** Counts what happens, where somebody asks for it. */
  readonly metrics?: Metrics;
  /** Says what happens, where somebody reads it. */
  readonly logger?: Logger;
  /** Make the database where there is none, for tests. */
  readonly createStore?: boolean;
  /** Replaces the directory that the configuration chooses, for tests. */
  readonly openDirectory?: (policy: PolicySource, store: Store) => Directory;
  /** Further sign-in methods, for tests. */
  readonly signInMethods?: readonly SignInMethod[];
  /** Where the log channel prints. Default: standard output. */
  readonly print?: (line: string) => void;
  /** Replaces the system's clock, for tests. */
  readonly clock?: () => number;
  /** How often the rounds are made, in milliseconds. */
  readonly jobIntervalMs?: number;
};

export async function createServer(options: ServerOptions): Promise<Server> {
  const { config, rootKey, onFault, metrics, logger, jobIntervalMs = 500 } = options;
  const { caFile, ...outboundPolicy } = config.outbound;
  const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
  const outbound = createOutbound({ ...outboundPolicy, ca });
  const loginHintKeys = loadLoginHintKeys(config.loginHintIssuers);
  const policy = createSource<Policy>(config);
  const permission = createSource(await openPermission(config, onFault));
  const openedStore = await openStore({
    location: config.store,
    create: options.createStore === true,
    clock: options.clock,
    onConnection: metrics?.onConnection,
  });
  const measuredStore = metrics?.observe(openedStore) ?? openedStore;
  const store = logger?.observe(measuredStore) ?? measuredStore;
  let isClosing = false;
  const keyring = await prepare().catch(async (fault) => {
    await store.close();
    throw fault;
  });

  const opened = await openChannels(config.channels, {
    issuer: config.issuer,
    now: () => store.now(),
    print: options.print ?? ((line) => void process.stdout.write(`${line}\n`)),
  }).catch(async (fault) => {
    await store.close();
    throw fault;
  });
  const channels = new Map(
    [...opened].map(
      ([name, channel]) => [name, metrics?.instrumentChannel(name, channel) ?? channel] as const,
    ),
  );
  const directory = (options.openDirectory ?? openDirectory)(policy, store);
  const ceremonies = createMac(rootKey, "ceremony");
  const canUpdate = [...channels.values()].some(({ update }) => update !== undefined);
  const unwatchUpdates = canUpdate ? watchForUpdates(store, onFault) : undefined;
  const authReqIds = createAuthReqIds(rootKey);
  const secrets = createSecretSeal(rootKey);
  const pollWaiters = createPollWaiters(store);
  const urls = [config.issuer, ...(config.mtls ? [config.mtls.url] : [])].map(buildEndpointUrls);
  const jwksCache = createJwksCache(() => store.now(), outbound, onFault);
  const csrf = createMac(rootKey, "csrf");
  const sessions = createBrowserSessions({
    store,
    directory,
    issuer: config.issuer,
    origin: config.passkeys.origin,
    csrf,
  });
  const callbackSeal = createSeal(rootKey, "callbacks");
  const routes = createRoutes({
    settings: config,
    policy,
    store,
    directory,
    keyring,
    sessions,
    signer: keyring.signer,
    clientJwtVerifier: createClientJwtVerifier(() => store.now(), secrets, jwksCache),
    secrets,
    loginHintKeys,
    authReqIds,
    pollLimiter: createPollLimiter(() => policy.current().limits.pollIntervalSeconds),
    pollWaiters,
    relyingParty: config.passkeys,
    audiences: new Set([config.issuer, ...urls.flatMap((at) => [at.token, at.bcAuthorize, at.revoke])]),
    proofUrls: listProofUrls(urls.map(({ token }) => token)),
    nonces: config.dpop.requireNonce ? createDpopNonces(createMac(rootKey, "dpop-nonce").make) : undefined,
    ceremonies,
    signInMethods: [
      ...createSignInMethods({ store, directory, relyingParty: config.passkeys, ceremonies }),
      ...(options.signInMethods ?? []),
    ],
    callbackSeal,
    isReady: async () => !isClosing && (await isStoreReachable(store)),
    permission,
    webhooks: [...channels.values()].flatMap(({ routes = [] }) => routes),
    onFault,
  });
  const appDeps = {
    pages: createPageRenderer(sessions),
    hsts: config.listen.tls !== undefined && !isLoopbackHost(new URL(config.issuer).hostname),
    onResponse: combineListeners(metrics?.onResponse, logger?.onResponse),
    onFault,
    tracing: openTelemetry() ? await import("./http/http-tracing.ts") : undefined,
  };
  const app = createApp(routes, appDeps);
  const protocol = createProtocolApp(routes, appDeps);

  const callbackClient = { encode: encodeNotification, send: createCallbackSender(outbound) };
  const callbackWorker = createCallbackWorker(
    { store, policy, directory, signer: keyring.signer, authReqIds, callbackSeal, callbackClient },
    onFault,
  );
  const publishCheckpoint = createCheckpointWriter(config.log.checkpointFile);
  const scheduler = createScheduler(
    store,
    [
      { name: "sweep", when: sweptKinds, work: (found) => sweep(store, found) },
      ...(canUpdate
        ? [{ name: "updates", when: { everyMs: 60_000 }, work: () => scheduleMissedUpdates(store) }]
        : []),
      { name: "deliver", when: ["message"], work: () => deliver({ store, channels }) },
      { name: "notify", when: ["callback"], work: () => callbackWorker.startDue() },
      {
        name: "checkpoint",
        when: ["log"],
        work: () =>
          writeCheckpoint({ store, signCheckpoint: keyring.signCheckpoint, publish: publishCheckpoint }),
      },
      { name: "keys", when: { everyMs: 30_000 }, work: () => keyring.reload() },
    ],
    jobIntervalMs,
    onFault,
  );

  /** What has to be in the store before anybody is answered. */
  async function prepare(): Promise<Keyring> {
    const ring = await openKeyring(store, rootKey, config.issuer, config.log.origin);
    await publishTypes(store, config);
    await reconcileAgents(store, config);
    return ring;
  }

  const reload =
    options.file &&
    createPolicyReloader(
      {
        store,
        load: options.file.load,
        prepare: async (next) => {
          const nextPermission = await openPermission(next, onFault);
          return () => {
            policy.replace(next);
            permission.replace(nextPermission);
          };
        },
      },
      options.file.values,
    );

  return {
    ...(reload && { reload }),
    fetch: (request, peer = anonymousPeer) => app.fetch(request, peer),
    protocol: (request, peer = anonymousPeer) => protocol.fetch(request, peer),
    apps: { app, protocol },
    routes,
    store,
    directory,
    keyring,
    beginShutdown: () => {
      isClosing = true;
      pollWaiters.release();
    },
    runJobs: async () => {
      await scheduler.runAll();
      await callbackWorker.idle();
    },
    close: async () => {
      pollWaiters.release();
      unwatchUpdates?.();
      await Promise.all([scheduler.stop(), callbackWorker.stop()]);
      await closeChannels(opened);
      await store.close();
    },
  };
}

type OnResponse = NonNullable<AppDeps["onResponse"]>;

/** Returns undefined if there is no listener, so that nothing is measured. */
function combineListeners(
  first: OnResponse | undefined,
  second: OnResponse | undefined,
): OnResponse | undefined {
  if (!first || !second) return first ?? second;
  return (...args) => {
    first(...args);
    second(...args);
  };
}

/** Whether the store answers at all: one read that an index answers. */
async function isStoreReachable(store: Store): Promise<boolean> {
  try {
    await store.read("agent", "");
    return true;
  } catch {
    return false;
  }
}
