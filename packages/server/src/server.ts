/**
 * The server: a list of modules over shared dependencies. `createServer` opens them, runs their jobs and returns a `fetch`, so that
 * the server runs behind any listener and tests need no socket.
 */
import { isLoopbackHost } from "@countersign/protocol";
import type { ConfigProblems, LoadedConfig } from "./config/config.ts";
import type { ConfigValues } from "./config/digest.ts";
import type { Directory } from "./directory/directory.ts";
import { type App, type AppDeps, createApp, createProtocolApp } from "./http/app.ts";
import { createPageRenderer } from "./http/page/page-renderer.ts";
import type { Access } from "./http/route.ts";
import { anonymousPeer, type TlsPeer } from "./http/transport/peer.ts";
import { createScheduler } from "./job/scheduler.ts";
import { callbackModule } from "./module/callbacks.ts";
import { channelModule } from "./module/channels.ts";
import { httpModule } from "./module/http.ts";
import { maintenanceModule } from "./module/maintenance.ts";
import { closeModules, openModules, type ServerModule } from "./module/module.ts";
import { openServerDeps, type ServerDeps, type ServerDepsOptions } from "./module/server-deps.ts";
import { createSessions } from "./module/sessions.ts";
import type { Store } from "./store/store.ts";
import { openTelemetry } from "./tracing/tracing.ts";
import type { Keyring } from "./usecase/key/keyring.ts";
import { createPolicyReloader, type ReloadResult } from "./usecase/policy/reload-policy.ts";

const modules: readonly ServerModule[] = [httpModule, channelModule, callbackModule, maintenanceModule];

export type Server = {
  /** `peer` is the TLS peer that the listener saw. Default: no client certificate. */
  readonly fetch: (request: Request, peer?: TlsPeer) => Response | Promise<Response>;
  /** The same without the pages: for the mutual-TLS listener. */
  readonly protocol: (request: Request, peer?: TlsPeer) => Response | Promise<Response>;
  /** The same two for a listener that does not create a `Request` for every call. */
  readonly apps: { readonly app: App; readonly protocol: App };
  /** Every route of the server. */
  readonly routes: readonly { readonly method: string; readonly path: string; readonly access: Access }[];
  readonly store: Store;
  readonly directory: Directory;
  readonly keyring: Keyring;
  /** Responds to held polls, so that a listener can be closed. `close` does this, too. */
  readonly beginShutdown: () => void;
  /** Runs every job once. For tests. */
  readonly runJobs: () => Promise<void>;
  /** Reloads the policy from the configuration file. Undefined if the server was created without a file. */
  readonly reload?: () => Promise<ReloadResult>;
  readonly close: () => Promise<void>;
};

export type ServerOptions = ServerDepsOptions & {
  /** For `reload`: the values that `config` was read from, and a function that reads the file again. */
  readonly file?: {
    readonly values: ConfigValues;
    readonly load: () => LoadedConfig | ConfigProblems;
  };
  /** How often due jobs run, in milliseconds. Default: 500. */
  readonly jobIntervalMs?: number;
};

export async function createServer(options: ServerOptions): Promise<Server> {
  const { deps, replacePolicy } = await openServerDeps(options);
  const { store, directory, keyring, onFault } = deps;
  const opened = await openModules(modules, deps).catch(async (error) => {
    await store.close();
    throw error;
  });
  const routes = opened.flatMap(({ routes = [] }) => routes);
  const appDeps = await createAppDeps(deps);
  const app = createApp(routes, appDeps);
  const protocol = createProtocolApp(routes, appDeps);
  const jobs = opened.flatMap(({ jobs = [] }) => jobs);
  const scheduler = createScheduler(store, jobs, options.jobIntervalMs ?? 500, onFault);
  const reload =
    options.file &&
    createPolicyReloader(
      {
        store,
        load: options.file.load,
        prepare: async (next) => {
          const swaps = await Promise.all(opened.flatMap(({ prepareReload }) => prepareReload?.(next) ?? []));
          return () => {
            replacePolicy(next);
            for (const swap of swaps) swap();
          };
        },
      },
      options.file.values,
    );
  const beginShutdown = () => {
    for (const module of opened) module.beginShutdown?.();
  };

  return {
    ...(reload && { reload }),
    fetch: (request, peer = anonymousPeer) => app.fetch(request, peer),
    protocol: (request, peer = anonymousPeer) => protocol.fetch(request, peer),
    apps: { app, protocol },
    routes,
    store,
    directory,
    keyring,
    beginShutdown,
    runJobs: async () => {
      await scheduler.runAll();
      for (const module of opened) await module.idle?.();
    },
    close: async () => {
      beginShutdown();
      await scheduler.stop();
      await closeModules(opened);
      await store.close();
    },
  };
}

async function createAppDeps(deps: ServerDeps): Promise<AppDeps> {
  const { settings, metrics, logger, onFault } = deps;
  return {
    pages: createPageRenderer(createSessions(deps)),
    hsts: settings.listen.tls !== undefined && !isLoopbackHost(new URL(settings.issuer).hostname),
    onResponse: combineListeners(metrics?.onResponse, logger?.onResponse),
    onFault,
    tracing: openTelemetry() ? await import("./http/http-tracing.ts") : undefined,
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
