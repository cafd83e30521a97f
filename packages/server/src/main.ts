#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --max-semi-space-size=8
/**
 * The `countersign` command: argv, environment and signals, and nothing else. With a young generation of half the usual
 * size it is resident with some 15 MB less.
 */
import { existsSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

// What was compiled once is not compiled again: most of the time that a short command would take. In a folder of the
// operator's own, because whoever can write there can change what runs. Made here, one by one: where a folder cannot be
// made, Node would try for ever.
const xdgCacheHome = process.env.XDG_CACHE_HOME ?? "";
// One that is not absolute is not meant (XDG Base Directory Specification): what lies where one happens to be is not ours.
const cacheHome = isAbsolute(xdgCacheHome) ? xdgCacheHome : join(homedir(), ".cache");
const cacheDirectory = join(cacheHome, "countersign");
for (const directory of [cacheHome, cacheDirectory])
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch {
    // It is there already, or cannot be, and then everything is compiled.
  }
if (existsSync(cacheDirectory)) enableCompileCache(cacheDirectory);

const { runCommand } = await import("./command/cli/run.ts");

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(signal));

// Whoever reads our output may stop reading, as `head` does: that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await runCommand(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(`${text}\n`),
  stderr: (text) => void process.stderr.write(`${text}\n`),
  isTTY: process.stdout.isTTY === true,
  signal: stop.signal,
});
