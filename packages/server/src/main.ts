#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** The `countersign` command: argv, environment and signals, and nothing else. */
import { runCommand } from "./command/command.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(signal));

process.exitCode = await runCommand(process.argv.slice(2), {
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
  stop: stop.signal,
});
