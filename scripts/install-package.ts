/**
 * Installs the packages that are not npm workspaces, because their dependencies are large and only a part of the tests or
 * the benchmarks uses them: `node scripts/install-package.ts DIRECTORY…`. Does nothing for a directory that is up to date.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The other projects' clients that the conformance tests run. */
export const conformanceClients = "conformance/client";
/** The server that the benchmarks compare with. */
export const oidcProvider = "bench/oidc-provider";

/**
 * Runs `npm ci` in a directory, given from the root, if its lockfile is not the one that was installed last. Installs with
 * the project's own Node and without install scripts. Throws, with the output of npm, if the install fails.
 */
export function installPackage(directory: string): void {
  const at = resolve(root, directory);
  // npm ci removes node_modules first: an interrupted install has no marker.
  const marker = join(at, "node_modules", ".installed-lockfile");
  const digest = createHash("sha256")
    .update(readFileSync(join(at, "package-lock.json")))
    .digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === digest) return;

  console.log(`installing the dependencies of ${directory} (npm ci)`);
  const { status, error, stdout, stderr } = spawnSync("npm", ["ci", "--ignore-scripts", "--prefer-offline"], {
    cwd: at,
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}${delimiter}${process.env.PATH}` },
    encoding: "utf8",
    // npm is a batch file there.
    shell: process.platform === "win32",
  });
  if (status !== 0)
    throw new Error(`npm ci in ${directory} failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`, {
      cause: error,
    });
  mkdirSync(dirname(marker), { recursive: true });
  writeFileSync(marker, digest);
}

if (import.meta.main)
  try {
    for (const directory of process.argv.slice(2)) installPackage(directory);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
