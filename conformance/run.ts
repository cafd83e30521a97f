/** Runs the real `countersign start`, in a separate process or in this one, where tests can move the clock. */
import { fileURLToPath } from "node:url";
import { start } from "../examples/harness/process.ts";
import { runCommand } from "../packages/server/src/command/cli/run.ts";

export type Running = {
  /** Stops the server. Resolves when it has ended. */
  readonly end: () => Promise<void>;
  /** Sends SIGKILL. Throws if the server runs in this process. */
  readonly kill: () => Promise<void>;
};

const main = new URL("../packages/server/src/main.ts", import.meta.url);
const listens = /listens on /;

/** Starts the server. Rejects with its error output if it does not listen. */
export async function startProcess(file: string, folder: string): Promise<Running> {
  const process = start({ file: main, args: ["start", "--config", file], folder });
  // Forward its error output to standard error.
  process.child.stderr?.pipe(globalThis.process.stderr, { end: false });
  await process.waitForLine(listens);
  return { end: () => process.end(), kill: () => process.end("SIGKILL") };
}

export async function startInProcess(file: string): Promise<Running> {
  const stop = new AbortController();
  const errorLines: string[] = [];
  let ended: Promise<number> | undefined;
  await new Promise<void>((resolve, reject) => {
    ended = runCommand(["start", "--config", file], {
      stdout: (text) => {
        if (listens.test(text)) resolve();
      },
      stderr: (text) => errorLines.push(text),
      isTTY: false,
      signal: stop.signal,
    });
    ended.then(() => reject(new Error(errorLines.join("\n"))), reject);
  });
  return {
    end: async () => {
      stop.abort();
      await ended;
    },
    kill: () =>
      Promise.reject(new Error(`${fileURLToPath(main)} runs in this process and cannot be killed alone`)),
  };
}
