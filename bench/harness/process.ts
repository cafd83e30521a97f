/** Starts a server in its own process, pinned to one core; all servers use the same core if `taskset` is available. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";

export type Running = { readonly pid: number; readonly port: number; readonly close: () => Promise<void> };

/** The servers use the first core, the benchmark the others. */
const cores = availableParallelism();
const pinned = cores > 1 && spawnSync("taskset", ["-V"]).status === 0;
if (pinned) spawnSync("taskset", ["-a", "-pc", `1-${cores - 1}`, String(process.pid)]);

export const placement = pinned ? "servers on one core, the load on another" : "nothing pinned to a core";

/**
 * Resolves when its output matches; the first group, if any, is the port. The process shares the servers' core unless it may run
 * on any core.
 */
export async function run(
  args: readonly string[],
  ready: RegExp,
  port = 0,
  sharesCore = true,
): Promise<Running> {
  const cpuList = sharesCore ? "0" : `0-${cores - 1}`;
  const nodeCommand = [process.execPath, ...args];
  const command = pinned ? ["taskset", "-c", cpuList, ...nodeCommand] : nodeCommand;
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  const match = await new Promise<RegExpExecArray>((resolve, reject) => {
    child.stdout.on("data", (text) => {
      output += text;
      const match = ready.exec(output);
      if (match) resolve(match);
    });
    child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}: ${output}`)));
  });
  return { pid: child.pid!, port: match[1] ? Number(match[1]) : port, close: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
