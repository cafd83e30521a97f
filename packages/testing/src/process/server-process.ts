/** The server as a process of its own, to be killed; and the moments at which that happens. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;

/** Only starts it. What it says on standard error is this process's own, or whoever hears it. */
export function spawnServer(
  configuration: string,
  environment: NodeJS.ProcessEnv = {},
  heard?: (said: string) => void,
) {
  const child = spawn(process.execPath, [main, "start", "--config", configuration], {
    stdio: ["ignore", "pipe", heard ? "pipe" : "inherit"],
    env: { ...process.env, ...environment },
  });
  if (heard) child.stderr?.setEncoding("utf8").on("data", heard);
  return child;
}

/** Resolves when it listens. */
export async function startProcess(
  configuration: string,
  environment: NodeJS.ProcessEnv = {},
  heard?: (said: string) => void,
): Promise<ChildProcess> {
  const child = spawnServer(configuration, environment, heard);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (text) => String(text).includes("listens on") && resolve());
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  return child;
}

/** Kills it, if it is still there. */
export async function killProcess(child: ChildProcess | undefined): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** A small generator of numbers in [0, 1) (mulberry32), so that a seed tells which moments were chosen. */
export function random(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
