/**
 * Child processes of a story. Each is started by path with the current Node.js and ended by its id, also if the story fails. Only
 * processes started here are ended.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Program = {
  readonly file: URL;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. */
  readonly folder: string;
  /** Module to preload, with an IPC channel to this process. */
  readonly preload?: URL;
  /** Open its standard input. */
  readonly input?: boolean;
};

export type Started = {
  readonly child: ChildProcess;
  /** Lines printed so far. */
  readonly lines: readonly string[];
  /** Its error output so far. */
  readonly errorOutput: () => string;
  /** Resolves to the first matching line. Rejects if the process ends without one. */
  readonly waitForLine: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** Resolves to its exit code or signal when it has ended and its output is complete. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Ends it. Sends SIGKILL after five seconds. Resolves when it has ended. */
  readonly end: (signal?: NodeJS.Signals) => Promise<void>;
};

const running = new Set<ChildProcess>();
// End the children with this process, except after SIGKILL.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Compile cache shared by all processes and runs. */
const compileCache = fileURLToPath(
  new URL("../../node_modules/.cache/countersign/compiled", import.meta.url),
);
const timeoutMs = 5_000;

export function start({ file, args = [], env = {}, folder, preload, input }: Program): Started {
  const path = fileURLToPath(file);
  const flags = ["--disable-warning=ExperimentalWarning", ...(preload ? ["--import", preload.href] : [])];
  const child = spawn(process.execPath, [...flags, path, ...args], {
    cwd: folder,
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: [input ? "pipe" : "ignore", "pipe", "pipe", ...(preload ? (["ipc"] as const) : [])],
  });
  running.add(child);

  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  createInterface({ input: child.stdout! }).on("line", (line) => {
    lines.push(line);
    for (const listener of listeners) listener(line);
  });
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve(code ?? signal ?? 1);
    });
  });

  return {
    child,
    lines,
    errorOutput: () => stderr,
    ended,
    waitForLine: (pattern) =>
      new Promise((resolve, reject) => {
        const matchLine = (line: string) => {
          const match = pattern.exec(line);
          if (!match) return;
          listeners.delete(matchLine);
          resolve(match);
        };
        listeners.add(matchLine);
        for (const line of lines) matchLine(line);
        ended.then(
          (exitStatus) => reject(new Error(`${path} ended (${exitStatus}) without ${pattern}\n${stderr}`)),
          reject,
        );
      }),
    end: async (signal = "SIGTERM") => {
      child.kill(signal);
      const killTimer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
      await ended;
      clearTimeout(killTimer);
    },
  };
}
