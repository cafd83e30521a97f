/**
 * Runs the test files, three at a time, and prints failures and totals. Arguments select files whose path contains one of
 * them: `npm test -- store`. Options: `--test-name-pattern=REGEX` and `--test-reporter=MODULE`.
 *
 * Starting Node and loading the server takes longer than most files' tests, so files share a process where they can: each
 * group of `groups` runs in one, one file after the other. A file that starts processes or a browser, or that changes the
 * process, keeps one of its own.
 */
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { conformanceClients, installPackage } from "./install-package.ts";

/** Directories whose files share a process. */
const groups: readonly (readonly string[])[] = [
  ["packages/server/test/http/"],
  ["packages/server/test/journey/"],
  ["packages/server/src/domain/", "packages/server/src/config/", "packages/server/src/http/"],
  ["packages/server/src/", "packages/protocol/src/"],
  ["packages/agent/", "packages/verifier/"],
];

/** Source patterns of files that need their own process. */
const ownProcess =
  /node:child_process|@countersign\/testing\/(?:process|browser\/browser)|process\.env\.\w+ = |mock\.method\(globalThis/;

/** The slowest files first, so that the last ones to end are short. */
const slowest = [
  "scripts/pack",
  "packages/server/test/fault/storage",
  "packages/server/src/page/browser",
  "packages/server/src/store/postgres/postgres",
  "packages/server/test/node/",
  "packages/server/test/fault/",
  "examples/",
  "packages/server/test/command/store",
  "conformance/fapi-ciba/",
  "conformance/client/",
  "scripts/deploy",
];

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    "test-name-pattern": { type: "string", multiple: true },
    "test-reporter": { type: "string" },
  },
});
const files = globSync("{packages,examples,scripts,bench,conformance}/**/*.test.ts", {
  exclude: (name) => name.includes("node_modules"),
})
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${names.join(" ")}`);
  process.exit(1);
}
if (files.some((file) => file.startsWith(join(conformanceClients, "/"))))
  try {
    installPackage(conformanceClients);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }

/** Timeout for one file or group. */
const timeoutMs = process.env.COUNTERSIGN_LONG ? 3_600_000 : 300_000;
// Processes share compiled code.
process.env.NODE_COMPILE_CACHE ??= resolve("node_modules/.cache/node-compile");
const events = run({
  files: schedule(files),
  concurrency: 3,
  timeout: timeoutMs,
  execArgv: ["--disable-warning=ExperimentalWarning"],
  ...(options["test-name-pattern"] && {
    testNamePatterns: options["test-name-pattern"].map((pattern) => new RegExp(pattern)),
  }),
});
events.on("test:fail", () => {
  process.exitCode = 1;
});
const reporter = options["test-reporter"]
  ? (await import(pathToFileURL(resolve(options["test-reporter"])).href)).default
  : new spec();
events.compose(reporter).pipe(process.stdout);

/** Returns what to run, in this order: files that need their own process, the slowest first, and a file for each group. */
function schedule(files: readonly string[]): string[] {
  const members = groups.map((): string[] => []);
  const separate: string[] = [];
  for (const file of files) {
    const group = groups.findIndex((directories) => directories.some((name) => file.startsWith(name)));
    const target = ownProcess.test(readFileSync(file, "utf8")) ? separate : (members[group] ?? separate);
    target.push(file);
  }
  const rank = (file: string) => {
    const at = slowest.findIndex((start) => file.startsWith(start));
    return at < 0 ? slowest.length : at;
  };
  separate.sort((one, other) => rank(one) - rank(other));
  const first = separate.findIndex((file) => rank(file) === slowest.length);
  const shared = members.flatMap((group, at) =>
    group.length > 1 ? writeGroup(`group-${at + 1}`, group) : group,
  );
  return separate.toSpliced(first < 0 ? separate.length : first, 0, ...shared).map((file) => resolve(file));
}

/** Writes a test file in which each of these files is a suite. Returns its path. */
function writeGroup(name: string, files: readonly string[]): string {
  const folder = "node_modules/.cache/countersign/test";
  mkdirSync(folder, { recursive: true });
  const suites = files.map((file) => {
    const url = pathToFileURL(resolve(file)).href;
    return `describe(${JSON.stringify(file)}, () => import(${JSON.stringify(url)}));`;
  });
  const path = join(folder, `${name}.test.mjs`);
  writeFileSync(path, `import { describe } from "node:test";\n${suites.join("\n")}\n`);
  return path;
}
