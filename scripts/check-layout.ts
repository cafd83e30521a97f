/**
 * Holds the tree to the shape that `docs/architecture.md` draws: imports run one way and never in a circle, files stay
 * small, names are words of the glossary. Prints each breach and exits 1.
 */
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";

/** Each layer may import those before it, and itself. */
const layers: readonly (readonly string[])[] = [
  ["domain"],
  ["audit", "config", "crypto"],
  ["store", "tracing"],
  ["usecase", "outbound", "permission"],
  ["job", "channel", "logging", "metrics", "page"],
  ["http"],
  ["server.ts"],
  ["command"],
  ["main.ts"],
];
/** Imports between packages: who may import whom. */
const packages: Record<string, readonly string[]> = {
  protocol: [],
  server: ["protocol"],
  agent: ["protocol"],
  testing: ["protocol", "server", "agent", "verifier"],
  verifier: ["protocol"],
};
const longestFile = 500;
const forbiddenNames =
  /^(utils?|helpers?|common|shared|core|lib|types?|constants?|index|managers?|services?)$/;
const exempt = /\.test\.ts$|\/contract\.ts$|\/vectors\/|\/test\//;

const breaches: string[] = [];
/** Which files of the packages each file imports, types as well. */
const imports = new Map<string, string[]>();
const layerOf = (path: string): number => {
  const head = path.replace(/^packages\/server\/src\//, "").split("/")[0] ?? "";
  return layers.findIndex((layer) => layer.includes(head) || layer.includes(head.replace(/\.ts$/, "")));
};

for (const file of globSync("{packages,examples,bench,scripts,conformance}/**/*.{ts,js}", {
  exclude: (name) => name.includes("node_modules"),
})) {
  const source = readFileSync(file, "utf8");
  const name = basename(file).replace(/\.(test\.)?(ts|js)$/, "");
  const length = source.split("\n").length;
  if (length > longestFile && !exempt.test(file))
    breaches.push(`${file}: ${length} lines, at most ${longestFile}`);
  if (forbiddenNames.test(name) || forbiddenNames.test(basename(dirname(file))))
    breaches.push(`${file}: "${name}" says nothing about what is inside`);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) breaches.push(`${file}: file names are kebab-case`);

  const inServer = file.startsWith("packages/server/src/");
  const own = file.split("/")[1] ?? "";
  for (const [, target = ""] of source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    const sibling = /^@countersign\/([a-z]+)/.exec(target)?.[1];
    if (
      sibling &&
      file.startsWith("packages/") &&
      !exempt.test(file) &&
      sibling !== own &&
      !packages[own]?.includes(sibling)
    )
      breaches.push(`${file}: the ${own} package does not import ${sibling}`);
    if (!file.startsWith("packages/") || exempt.test(file) || !target.startsWith(".")) continue;
    const imported = normalize(join(dirname(file), target));
    imports.set(file, [...(imports.get(file) ?? []), imported]);
    if (!inServer) continue;
    if (!imported.startsWith("packages/server/src/")) {
      breaches.push(`${file}: reaches outside the package for ${target}`);
      continue;
    }
    const [from, to] = [layerOf(file), layerOf(imported)];
    if (from < 0) breaches.push(`${file}: stands in no layer`);
    else if (to > from) breaches.push(`${file}: imports upwards, ${imported}`);
  }
}

const settled = new Set<string>();
for (const file of imports.keys()) follow(file, []);

/** Walks along the imports, and reports a way that comes back to where it has been. */
function follow(file: string, way: readonly string[]): void {
  if (way.includes(file))
    breaches.push(`a circle of imports: ${[...way.slice(way.indexOf(file)), file].join(" → ")}`);
  if (settled.has(file) || way.includes(file)) return;
  for (const next of imports.get(file) ?? []) follow(next, [...way, file]);
  settled.add(file);
}

for (const breach of breaches) console.error(breach);
console.log(breaches.length === 0 ? "layout holds" : `${breaches.length} breaches`);
process.exitCode = breaches.length === 0 ? 0 : 1;
