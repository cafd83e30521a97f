/** Checks what an installation is made of: manifests, lockfiles, and the packages that are installed when needed. */
import assert from "node:assert/strict";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { conformanceClients, installPackage, oidcProvider } from "./install-package.ts";

type Locked = {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
} & Readonly<Record<"dependencies" | "optionalDependencies", Readonly<Record<string, string>> | undefined>>;

const read = (file: string) => JSON.parse(readFileSync(file, "utf8"));
const separate = [conformanceClients, oidcProvider];
const manifests = ["", ...globSync("{packages,examples}/*/"), ...separate]
  .map((directory) => join(directory, "package.json"))
  .filter(existsSync);
const pinned = manifests.flatMap((file) => {
  const { dependencies, devDependencies } = read(file);
  return Object.entries<string>({ ...dependencies, ...devDependencies }).map(
    ([name, version]) => [file, name, version] as const,
  );
});

test("manifests pin exact versions, and the same one everywhere", () => {
  const versions = new Map<string, string>();
  for (const [file, name, version] of pinned) {
    assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${file}: ${name}`);
    assert.equal(version, versions.get(name) ?? version, `${file}: ${name}`);
    versions.set(name, version);
  }
});

for (const directory of ["", ...separate])
  test(`${join(directory, "package-lock.json")} comes from the npm registry, for every platform`, () => {
    const locked: Readonly<Record<string, Locked>> = read(join(directory, "package-lock.json")).packages;
    const missing: string[] = [];
    for (const [path, entry] of Object.entries(locked)) {
      if (path.includes("node_modules/") && !entry.link) {
        assert.match(entry.resolved ?? "", /^https:\/\/registry\.npmjs\.org\//, path);
        assert.match(entry.integrity ?? "", /^sha512-/, path);
      }
      for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }))
        if (!resolves(locked, path, name)) missing.push(`${path}: ${name}`);
    }
    assert.deepEqual(missing, []);
  });

/** Whether `name` is found from `path` in the tree, as Node looks for it. */
function resolves(locked: Readonly<Record<string, Locked>>, path: string, name: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    if (at === ".") at = "";
    if (join(at, "node_modules", name) in locked) return true;
    if (at === "") return false;
  }
}

test("a package that is installed separately declares what its files import", () => {
  const missing: string[] = [];
  for (const directory of separate) {
    const { dependencies } = read(join(directory, "package.json"));
    for (const file of globSync(`${directory}/**/*.{ts,js}`, { exclude: ["**/node_modules", "**/.next"] }))
      for (const [, name = ""] of readFileSync(file, "utf8").matchAll(
        /(?:from|import\(|require\() ?"((?:@[\w-]+\/)?[\w-]+)[^":]*"/g,
      ))
        if (!name.startsWith("@countersign/") && !(name in dependencies)) missing.push(`${file}: ${name}`);
  }
  assert.deepEqual(missing, []);
});

test("installs a package once for each lockfile, and reports why it could not", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-install-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const log = t.mock.method(console, "log", () => {});
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "version": "1.0.0" }');
  writeFileSync(join(folder, "package-lock.json"), '{ "lockfileVersion": 3, "packages": {} }');
  installPackage(folder);
  installPackage(folder);
  assert.equal(log.mock.callCount(), 1);

  writeFileSync(join(folder, "package.json"), "no manifest");
  writeFileSync(join(folder, "package-lock.json"), '{ "lockfileVersion": 2, "packages": {} }');
  assert.throws(() => installPackage(folder), /^Error: npm ci in .* failed: npm error code EJSONPARSE/);
  assert.throws(() => installPackage(folder), /failed/, "a failed install is not remembered as done");
});
