#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** The `countersign` command: argv, environment and signals, and nothing else. */
import { enableCompileCache } from "node:module";

// What was compiled once is not compiled again: most of the time that a short command would take.
enableCompileCache();
const { runCommand } = await import("./command/command.ts");

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(signal));

// Whoever reads our output may stop reading, as `head` does: that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await runCommand(process.argv.slice(2), {
  print: (text) => void process.stdout.write(`${text}\n`),
  complain: (text) => void process.stderr.write(`${text}\n`),
  stop: stop.signal,
});
