/**
 * Builds the packages for publication: JavaScript and declarations. Needed because Node does not strip types under
 * `node_modules`. Prints the created files: `node scripts/pack.ts DIRECTORY`.
 */
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name: string) => join(root, "node_modules/.bin", name);

type Manifest = {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
};

/** Returns the paths of the packed packages by name. */
export function pack(into: string): Map<string, string> {
  const stage = mkdtempSync(join(tmpdir(), "countersign-pack-"));
  try {
    const built = join(stage, "built");
    execFileSync(bin("tsc"), ["-p", "tsconfig.build.json", "--outDir", built], {
      cwd: root,
      stdio: "inherit",
    });
    mkdirSync(into, { recursive: true });
    const folders: string[] = [];
    for (const manifestFile of globSync("packages/*/package.json", { cwd: root })) {
      const from = join(root, dirname(manifestFile));
      const manifest: Manifest = JSON.parse(readFileSync(join(root, manifestFile), "utf8"));
      if (manifest.private) continue;
      const to = join(stage, dirname(manifestFile));
      mkdirSync(to, { recursive: true });
      cpSync(join(built, dirname(manifestFile).replace("packages/", ""), "src"), join(to, "dist"), {
        recursive: true,
      });
      for (const file of globSync("src/**/asset/*", { cwd: from }))
        cpSync(join(from, file), join(to, file.replace(/^src/, "dist")));
      for (const file of globSync("README.md", { cwd: from })) cpSync(join(from, file), join(to, file));
      cpSync(join(root, "LICENSE"), join(to, "LICENSE"));
      writeFileSync(join(to, "package.json"), `${JSON.stringify(published(manifest), null, 2)}\n`);
      folders.push(to);
    }
    const output = execFileSync("npm", ["pack", "--json", "--pack-destination", into, ...folders], {
      cwd: stage,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const packed: readonly { name: string; filename: string }[] = Object.values(JSON.parse(output));
    return new Map(packed.map(({ name, filename }) => [name, join(into, filename)]));
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/** Returns the manifest for publication. */
function published(manifest: Manifest) {
  const js = (file: string) => file.replace("./src/", "./dist/").replace(/\.ts$/, ".js");
  const exports = Object.entries(manifest.exports).map(([name, file]) => [
    name,
    { types: js(file).replace(/\.js$/, ".d.ts"), default: js(file) },
  ]);
  return {
    ...manifest,
    engines: { node: ">=22.13" },
    exports: { ...Object.fromEntries(exports), "./package.json": "./package.json" },
    ...(manifest.bin && {
      bin: Object.fromEntries(Object.entries(manifest.bin).map(([name, file]) => [name, js(file)])),
    }),
    files: ["dist"],
  };
}

if (import.meta.main) {
  const into = resolve(process.argv[2] ?? "build/packages");
  for (const file of pack(into).values()) console.log(file);
}
