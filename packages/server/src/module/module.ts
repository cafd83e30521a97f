/**
 * A server module: a part of the server with jobs, routes, or something to open and close. To add one: a file here, and a line
 * in `server.ts`.
 */
import type { Policy } from "../config/sections.ts";
import type { Route } from "../http/route.ts";
import type { Job } from "../job/scheduler.ts";
import type { ServerDeps } from "./server-deps.ts";

export type OpenModule = {
  readonly jobs?: readonly Job[];
  readonly routes?: readonly Route[];
  /** Opens what depends on the policy. The returned function starts to use it, and cannot fail. */
  readonly prepareReload?: (policy: Policy) => Promise<() => void>;
  /** Called before the listener closes: responds to requests that are being held. */
  readonly beginShutdown?: () => void;
  /** Resolves when work that jobs have started is done. For tests. */
  readonly idle?: () => Promise<void>;
  /** Called after the scheduler has stopped. */
  readonly close?: () => void | Promise<void>;
};

export type ServerModule = {
  readonly name: string;
  readonly open: (deps: ServerDeps) => OpenModule | Promise<OpenModule>;
};

/** Opens the modules in order. Rejects if one cannot be opened; those before it are closed. */
export async function openModules(
  modules: readonly ServerModule[],
  deps: ServerDeps,
): Promise<readonly OpenModule[]> {
  const opened: OpenModule[] = [];
  try {
    for (const module of modules) opened.push(await module.open(deps));
    return opened;
  } catch (error) {
    await closeModules(opened);
    throw error;
  }
}

/** Closes the modules, the last one first. */
export async function closeModules(opened: readonly OpenModule[]): Promise<void> {
  for (const module of [...opened].reverse()) await module.close?.();
}
