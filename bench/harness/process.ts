/** Starts a server in its own process, pinned to one core; all servers use the same core if `taskset` is available. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";

export type Running = { readonly pid: number; readonly port: number; readonly close: () => Promise<void> };

/** The servers use the first core, the benchmark the others. */
const cores = availableParallelism();
const pinned = cores > 1 && spawnSync("taskset", ["-V"]).status === 0;
if (pinned) spawnSync("taskset", ["-a", "-pc", `1-${cores - 1}`, String(process.pid)]);

export const placing = pinned ? "servers on one core, the load on another" : "nothing pinned to a core";

/**
 * Resolves when its output matches; the first group, if any, is the port. The process shares the servers' core unless it may run
 * on any core.
 */
export async function run(words: readonly string[], ready: RegExp, port = 0, alike = true): Promise<Running> {
  const on = alike ? "0" : `0-${cores - 1}`;
  const started = [process.execPath, ...words];
  const command = pinned ? ["taskset", "-c", on, ...started] : started;
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  const found = await new Promise<RegExpExecArray>((resolve, reject) => {
    child.stdout.on("data", (text) => {
      said += text;
      const match = ready.exec(said);
      if (match) resolve(match);
    });
    child.once("exit", (code) => reject(new Error(`${words[0]} ended with ${code}: ${said}`)));
  });
  return { pid: child.pid!, port: found[1] ? Number(found[1]) : port, close: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
