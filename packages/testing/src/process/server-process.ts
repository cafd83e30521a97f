/** Spawns and kills server processes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;

/** Spawns a server. Standard error is inherited, or passed to `onStderr`. */
export function spawnServer(
  configuration: string,
  environment: NodeJS.ProcessEnv = {},
  onStderr?: (said: string) => void,
) {
  const child = spawn(process.execPath, [main, "start", "--config", configuration], {
    stdio: ["ignore", "pipe", onStderr ? "pipe" : "inherit"],
    env: { ...process.env, ...environment },
  });
  if (onStderr) child.stderr?.setEncoding("utf8").on("data", onStderr);
  return child;
}

/** Starts a server and resolves when it listens. */
export async function startProcess(
  configuration: string,
  environment: NodeJS.ProcessEnv = {},
  onStderr?: (said: string) => void,
): Promise<ChildProcess> {
  const child = spawnServer(configuration, environment, onStderr);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (text) => String(text).includes("listens on") && resolve());
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  return child;
}

/** Kills the process if it still runs, and waits for its exit. */
export async function killProcess(child: ChildProcess | undefined): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Creates a seeded generator of numbers in [0, 1) (mulberry32). */
export function createRandom(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
