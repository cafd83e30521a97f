/**
 * The control socket: how `countersign reload` reaches a running server and gets its result. A Unix domain socket (a named
 * pipe on Windows) that only the server's user can connect to. A connection is one line with a command; the response is one
 * line of JSON.
 */
import { createHash } from "node:crypto";
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { Config } from "../config/config.ts";
import { isPostgres } from "../config/url-check.ts";
import type { ReloadResult } from "../usecase/policy/reload-policy.ts";

export type ControlSocket = { readonly path: string; readonly close: () => Promise<void> };

const maxCommandBytes = 64;
const commandTimeoutMs = 5_000;
/** A reload reconciles agents and opens backends. */
const responseTimeoutMs = 60_000;

/** Returns the path: `control_socket` of the configuration, otherwise beside the SQLite store. Undefined: off. */
export function resolveControlSocket({ controlSocket, store }: Config): string | undefined {
  const path = controlSocket ?? (isPostgres(store) ? undefined : join(dirname(store), "control.sock"));
  if (path === undefined || process.platform !== "win32") return path;
  return `\\\\.\\pipe\\countersign-${createHash("sha256").update(path).digest("hex").slice(0, 16)}`;
}

/** Listens. Rejects if the path cannot be used, or if another running server uses it. */
export async function openControlSocket(
  path: string,
  reload: () => Promise<ReloadResult>,
): Promise<ControlSocket> {
  if (await isInUse(path)) throw new Error(`another server uses the control socket ${path}`);
  // Left behind by a server that crashed.
  if (process.platform !== "win32") rmSync(path, { force: true });
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    serve(socket, reload).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    // The file is created before `listen` returns, with the mode that the umask leaves.
    const umask = process.umask(0o177);
    try {
      listener.listen(path, resolve);
    } finally {
      process.umask(umask);
    }
  });
  if (process.platform !== "win32") chmodSync(path, 0o600);
  listener.unref();
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
      }),
  };
}

async function serve(socket: Socket, reload: () => Promise<ReloadResult>): Promise<void> {
  socket.on("error", () => socket.destroy());
  socket.setTimeout(commandTimeoutMs, () => socket.destroy());
  let command = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    command += String(chunk);
    if (command.includes("\n") || command.length > maxCommandBytes) break;
  }
  socket.setTimeout(0);
  const result: ReloadResult =
    command === "reload\n"
      ? await reload()
      : { reloaded: false, problems: ["unknown control command: use the same version of countersign"] };
  socket.end(`${JSON.stringify(result)}\n`);
}

/** Asks the server at `path` to reload. Rejects with `ENOENT` or `ECONNREFUSED` if none is running. */
export async function sendReload(path: string): Promise<ReloadResult> {
  const socket = connect({ path, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.setTimeout(responseTimeoutMs, () => socket.destroy(new Error("the server did not respond")));
  socket.end("reload\n");
  return JSON.parse(await text(socket)) as ReloadResult;
}

async function isInUse(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
