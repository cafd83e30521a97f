/**
 * Checks the tree against `docs/architecture.md` and the naming rules of CONTRIBUTING.md: imports run one way and without
 * cycles, `domain/` is pure, files and directories stay small, exported functions of the server begin with a verb. Prints
 * each violation and exits 1.
 */
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";

/** Each layer may import those before it, and itself. */
const layers: readonly (readonly string[])[] = [
  ["domain"],
  ["audit", "config", "crypto"],
  ["store", "tracing"],
  ["directory"],
  ["usecase", "outbound", "permission"],
  ["job", "channel", "logging", "metrics", "page", "signin"],
  ["http"],
  ["module"],
  ["server.ts"],
  ["command"],
  ["main.ts"],
];
/** Allowed imports between packages. */
const packages: Record<string, readonly string[]> = {
  protocol: [],
  server: ["protocol"],
  agent: ["protocol"],
  testing: ["protocol", "server", "agent", "verifier"],
  verifier: ["protocol"],
};
const maxFileLines = 500;
/** Source files in one directory of any package or workspace, not counting tests. */
const maxDirectoryFiles = 20;
/** First words of exported functions in the server: imperative verbs, and the predicates. */
const verbs = new Set(
  `abandon commit define add apply approve ask assert authenticate backup begin bind build cancel change check close compile compute copy
  create decide deliver deny derive describe diff draft encode enrol erase escape expire export find finish format freeze
  from generate get guard hash introspect invite issue lease list listen load lock make matches migrate new normalize
  observe open parse pause plan prepare publish put queue quote read reconcile redact redeem register release remove rename
  record render replace require reserve resolve retry return revoke rotate run schedule select send serve set sign spend split
  start store suggest supports sweep take to trace update validate verify wait watch with write are can has is may max min`
    .split(/\s+/)
    .filter(Boolean),
);
/** Retired words, replaced by the field's terms; see docs/glossary.md. */
const retiredWords =
  /\b(latch|latched|ground|Ground|standing|Standing|allowance|Allowance|doors|ticket|Tickets|journal|Journal)\b/;
const forbiddenNames =
  /^(utils?|helpers?|common|shared|core|lib|types?|constants?|index|managers?|services?)$/;
const exempt = /\.test\.ts$|\/contract\.ts$|\/vectors\/|\/test\//;

const breaches: string[] = [];
const directories = new Map<string, number>();
/** Imported files of the packages, by file, including type imports. */
const imports = new Map<string, string[]>();
/** The configuration of a channel is beside the channel and belongs to the layer of `config/`. */
const configFile = /^channel\/(sections|[a-z-]+\/section)\.ts$/;
const layerOf = (path: string): number => {
  const inside = path.replace(/^packages\/server\/src\//, "");
  const head = configFile.test(inside) ? "config" : (inside.split("/")[0] ?? "");
  return layers.findIndex((layer) => layer.includes(head) || layer.includes(head.replace(/\.ts$/, "")));
};

for (const file of globSync("{packages,examples,bench,scripts,conformance}/**/*.{ts,js}", {
  exclude: (name) => name.includes("node_modules"),
})) {
  const source = readFileSync(file, "utf8");
  const name = basename(file).replace(/\.(test\.)?(ts|js)$/, "");
  const length = source.split("\n").length;
  if (length > maxFileLines && !exempt.test(file))
    breaches.push(`${file}: ${length} lines, at most ${maxFileLines}`);
  if (forbiddenNames.test(name) || forbiddenNames.test(basename(dirname(file))))
    breaches.push(`${file}: "${name}" does not say what it contains`);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) breaches.push(`${file}: file names are kebab-case`);

  if (!exempt.test(file)) directories.set(dirname(file), (directories.get(dirname(file)) ?? 0) + 1);
  const inServer = file.startsWith("packages/server/src/");
  if (inServer && !exempt.test(file) && !file.includes("/store/contract/")) {
    for (const [, exported = ""] of source.matchAll(/^export (?:async )?function\*? (\w+)/gm)) {
      const first = /^[a-z0-9]+/.exec(exported)?.[0] ?? exported;
      if (!verbs.has(first)) breaches.push(`${file}: ${exported} does not begin with a verb`);
    }
    for (const [, declared = ""] of source.matchAll(
      /\b(?:const|let|function\*?|type|interface|class) (\w+)/g,
    ))
      if (retiredWords.test(declared)) breaches.push(`${file}: ${declared} is a retired word`);
  }
  if (/^packages\/[a-z-]+\//.test(file) && /from "[^"]*\.\.\/[a-z-]+\/test\//.test(source))
    breaches.push(`${file}: imports another package's test/`);
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
    if (file.startsWith("packages/server/src/domain/") && !imported.startsWith("packages/server/src/domain/"))
      breaches.push(`${file}: domain/ imports only domain/ and @countersign/protocol, not ${imported}`);
    const [from, to] = [layerOf(file), layerOf(imported)];
    if (from < 0) breaches.push(`${file}: is in no layer`);
    else if (to > from) breaches.push(`${file}: imports upwards, ${imported}`);
  }
}

for (const [directory, count] of directories)
  if (count > maxDirectoryFiles)
    breaches.push(`${directory}: ${count} source files, at most ${maxDirectoryFiles}`);

const settled = new Set<string>();
for (const file of imports.keys()) follow(file, []);

/** Depth-first walk along the imports; reports cycles. */
function follow(file: string, way: readonly string[]): void {
  if (way.includes(file))
    breaches.push(`import cycle: ${[...way.slice(way.indexOf(file)), file].join(" → ")}`);
  if (settled.has(file) || way.includes(file)) return;
  for (const next of imports.get(file) ?? []) follow(next, [...way, file]);
  settled.add(file);
}

for (const breach of breaches) console.error(breach);
console.log(breaches.length === 0 ? "layout holds" : `${breaches.length} violations`);
process.exitCode = breaches.length === 0 ? 0 : 1;
