#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --max-semi-space-size=8
/**
 * The `countersign` executable: passes arguments, output streams and signals to the command line. The semi-space of the heap is
 * half its default size, which reduces resident memory by some 15 MB.
 */
import { existsSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

// Compiled code is cached: compiling is most of the time of a short command. The directory belongs to the operator, because
// a user who can write to it can change what runs. It is created here, one level at a time: if a directory cannot be created,
// Node retries without end.
const xdgCacheHome = process.env.XDG_CACHE_HOME ?? "";
// Relative values are ignored (XDG Base Directory Specification).
const cacheHome = isAbsolute(xdgCacheHome) ? xdgCacheHome : join(homedir(), ".cache");
const cacheDirectory = join(cacheHome, "countersign");
for (const directory of [cacheHome, cacheDirectory])
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch {
    // It exists, or it cannot be created and nothing is cached.
  }
if (existsSync(cacheDirectory)) enableCompileCache(cacheDirectory);

const { runCommand } = await import("./command/cli/run.ts");

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(signal));

// A reader such as `head` may close the pipe.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await runCommand(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(`${text}\n`),
  stderr: (text) => void process.stderr.write(`${text}\n`),
  isTTY: process.stdout.isTTY === true,
  signal: stop.signal,
});
