/**
 * The processes of a story. Each is started by its path with the Node.js that runs this one, and ended by its id,
 * whatever happens to the story. It never looks for a program by name, and never ends one that it did not start.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Program = {
  readonly file: URL;
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs, and keeps its files. */
  readonly folder: string;
  /** Loaded before the program itself, with a line to this process. */
  readonly preload?: URL;
  /** Whether it reads what is written to `child.stdin`. */
  readonly input?: boolean;
};

export type Started = {
  readonly child: ChildProcess;
  /** The lines that it has printed. */
  readonly lines: readonly string[];
  /** What it has complained of. */
  readonly complaints: () => string;
  /** The first line that matches, printed or yet to come. Rejects if the process ends without it. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** Resolves when it has ended and all that it printed is here: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Ends it, and resolves when it is gone. One that does not listen is killed after five seconds. */
  readonly end: (signal?: NodeJS.Signals) => Promise<void>;
};

const running = new Set<ChildProcess>();
// However this process ends, the others do not outlive it. SIGKILL alone leaves them no chance.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** TypeScript that was compiled once is not compiled again by the next process, or the next run. */
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
