/**
 * Child processes of a story. Each is started by path with the current Node.js and ended by its id, also if the story fails. Only
 * processes started here are ended.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Program = {
  readonly file: URL;
  readonly words?: readonly string[];
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
  readonly complaints: () => string;
  /** Resolves to the first matching line. Rejects if the process ends without one. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>;
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
const compiled = fileURLToPath(new URL("../../node_modules/.cache/countersign/compiled", import.meta.url));
const patienceMs = 5_000;

export function start({ file, words = [], env = {}, folder, preload, input }: Program): Started {
  const path = fileURLToPath(file);
  const flags = ["--disable-warning=ExperimentalWarning", ...(preload ? ["--import", preload.href] : [])];
  const child = spawn(process.execPath, [...flags, path, ...words], {
    cwd: folder,
    env: { ...process.env, NODE_COMPILE_CACHE: compiled, ...env },
    stdio: [input ? "pipe" : "ignore", "pipe", "pipe", ...(preload ? (["ipc"] as const) : [])],
  });
  running.add(child);

  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  createInterface({ input: child.stdout! }).on("line", (line) => {
    lines.push(line);
    for (const listener of listeners) listener(line);
  });
  let complained = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    complained += text;
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
    complaints: () => complained,
    ended,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (line: string) => {
          const match = pattern.exec(line);
          if (!match) return;
          listeners.delete(look);
          resolve(match);
        };
        listeners.add(look);
        for (const line of lines) look(line);
        ended.then(
          (how) => reject(new Error(`${path} ended (${how}) without ${pattern}\n${complained}`)),
          reject,
        );
      }),
    end: async (signal = "SIGTERM") => {
      child.kill(signal);
      const last = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      await ended;
      clearTimeout(last);
    },
  };
}
