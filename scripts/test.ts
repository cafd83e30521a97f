/**
 * Runs every test file, two at a time, and prints what failed and the closing counts. Arguments are names of files or
 * parts of them: `npm test -- store` runs those whose path contains "store".
 */

import { spawn } from "node:child_process";
import { globSync } from "node:fs";

const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const files = globSync("{packages,examples,scripts,bench,conformance}/**/*.test.ts", {
  exclude: (name) => name.includes("node_modules"),
})
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(" ")}`);
  process.exit(1);
}
/** For one file. A test that hangs is a failure, not a wait. */
const patienceMs = process.env.COUNTERSIGN_LONG ? 3_600_000 : 300_000;
const quiet = "--disable-warning=ExperimentalWarning";
const child = spawn(
  process.execPath,
  [quiet, "--test", "--test-concurrency=2", `--test-timeout=${patienceMs}`, ...flags, ...files],
  // What one test file compiled, the others need not.
  { stdio: "inherit", env: { ...process.env, NODE_COMPILE_CACHE: "node_modules/.cache/node-compile" } },
);
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
