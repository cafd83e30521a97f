/** Checks the documents against the code. */
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { sections } from "../packages/server/src/config/sections.ts";

const source = "packages/server/src";
const architecture = readFileSync("docs/architecture.md", "utf8");
const threats = readFileSync("docs/threat-model.md", "utf8");

/** Returns the cells of every row of a Markdown table, without the header. */
function rowsOf(table: string): string[][] {
  const lines = table.split("\n").filter((line) => line.startsWith("| "));
  const rows = lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return rows.filter((cells, at) => at > 0 && !cells.every((cell) => /^-+$/.test(cell)));
}

test("the table of layers equals the one in check-layout.ts", () => {
  const script = readFileSync("scripts/check-layout.ts", "utf8");
  const [, written = ""] = /const layers[^=]*= (\[[\s\S]*?\n\]);/.exec(script) ?? [];
  const enforced = JSON.parse(written.replace(/,(\s*\])/g, "$1"));
  const [, table = ""] = architecture.split("<!-- layers -->\n\n");
  const shown = rowsOf(table.split("\n\n")[0] ?? "").map(([, names = ""]) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  assert.deepEqual(shown, enforced);
});

test("the tree in architecture.md lists exactly the directories of the server's source", () => {
  const [, tree = ""] = /```\n(packages\/[\s\S]*?)```/.exec(architecture) ?? [];
  const shown = [...tree.matchAll(/^ {4}([a-z]+\/|[a-z]+\.ts) /gm)].map(([, name]) => name);
  const there = readdirSync(source, { withFileTypes: true });
  const names = there.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  assert.deepEqual(shown.sort(), names.sort());
});

test("docs/endpoints.md lists exactly the rows of the route table", () => {
  const routes = readFileSync(`${source}/http/routes.ts`, "utf8");
  const metadata = [...routes.matchAll(/"(\/\.well-known\/[^"]+)"/g)].map(([, path]) => `GET ${path} public`);
  const rows = routes.matchAll(/method: "([A-Z]+)",\s*path(?:: "([^"]+)")?,\s*access: "([a-z]+)"/g);
  const served = [...rows].flatMap(([, method, path, access]) =>
    path === undefined ? metadata : [`${method} ${path} ${access}`],
  );
  const shown = rowsOf(readFileSync("docs/endpoints.md", "utf8")).map(
    ([method, path = "", access]) => `${method} ${path.replaceAll("`", "")} ${access}`,
  );
  assert.deepEqual(shown, served);
});

/** Files and directories in documents, relative to the root, `packages` or the server's source. */
const paths = /`([a-z][\w/-]*\/[\w.-]+\.(?:ts|js|yaml)|[a-z-]+\/)`/g;

test("every file named in the documents exists", () => {
  const missing: string[] = [];
  for (const file of globSync("{docs/**/*.md,*.md}")) {
    const text = readFileSync(file, "utf8");
    for (const [, name = ""] of file.startsWith("docs/") ? text.matchAll(paths) : []) {
      const places = ["", "packages/", `${source}/`].map((place) => join(place, name));
      if (!places.some(existsSync)) missing.push(`${file}: ${name}`);
    }
    for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
      if (!existsSync(join(dirname(file), link))) missing.push(`${file}: ${link}`);
  }
  assert.deepEqual(missing, []);
});

test("every linked heading exists", () => {
  const missing: string[] = [];
  for (const file of globSync("{docs/**/*.md,*.md,packages/*/README.md,examples/*.md}")) {
    const text = readFileSync(file, "utf8");
    for (const [, path = "", anchor = ""] of text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)) {
      const target = path === "" ? file : join(dirname(file), path);
      if (!existsSync(target) || !anchorsOf(readFileSync(target, "utf8")).includes(anchor))
        missing.push(`${file}: ${path}#${anchor}`);
    }
  }
  assert.deepEqual(missing, []);
});

/** Returns the anchors that GitHub derives from the headings of a Markdown text. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/ /g, "-"),
  );
}

test("the threat model has a row for each threat, T1 to T62 and those after them", () => {
  const rows = [...threats.matchAll(/^\| (T\d+) +\|/gm)].map(([, threat]) => threat);
  assert.ok(rows.length >= 62);
  assert.deepEqual(
    rows,
    rows.map((_, at) => `T${at + 1}`),
  );
});

test("the summary of the threat model agrees with its rows", () => {
  const [, summary = ""] = /How far this release goes:\n\n([\s\S]*?)\n\n/.exec(threats) ?? [];
  const said = summary.split(/^- /m).slice(1).map(numbersIn);
  const rows = [...threats.matchAll(/^\| T(\d+) .*$/gm)];
  const kinds = [/./, /\| In part/, /\| Not (yet|checked)/];
  const shown = kinds.map((_, at) =>
    rows
      .filter(([row]) => kinds.findLastIndex((kind) => kind.test(row)) === at)
      .map(([, number]) => Number(number)),
  );
  assert.deepEqual(said, shown);
});

/** Returns the numbers of the threats in a text; "T1 to T4" counts as four. */
function numbersIn(text: string): number[] {
  const named = [...text.matchAll(/T(\d+)(?: to T(\d+))?/g)].flatMap(([, from, to = from]) =>
    Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => Number(from) + at),
  );
  return [...new Set(named)].sort((a, b) => a - b);
}

test("every test named in the threat model exists, and a threat without a test is marked", () => {
  const missing: string[] = [];
  for (const line of threats.split("\n").filter((line) => line.startsWith("| "))) {
    const cited = [...line.matchAll(/`([^`]+\.ts)` "([^"]+)"/g)];
    for (const [, file = "", name = ""] of cited) {
      const path = file.startsWith("examples/") ? file : join("packages", file);
      if (!existsSync(path) || !readFileSync(path, "utf8").includes(name)) missing.push(`${file}: ${name}`);
    }
    if (/^\| T\d/.test(line) && cited.length === 0 && !/Not (yet|checked)/.test(line)) missing.push(line);
  }
  assert.deepEqual(missing, []);
});

test("every configuration key is in docs/operations/configure.md", () => {
  const operations = readFileSync("docs/operations/configure.md", "utf8");
  const missing = sections
    .flatMap((section) => [{ shape: section.shape }, ...(section.items ?? [])])
    .flatMap((shape) => keysOf(shape))
    .filter((key) => !operations.includes(`\`${key}\``) && !operations.includes(`\`${key}.`));
  assert.deepEqual(missing, []);
});

type Shape = { readonly shape?: object; readonly def?: { readonly innerType?: unknown } };

/** Returns the keys of a shape as paths such as "listen.port". Keys inside lists and maps are not included. */
function keysOf(shape: unknown, above = ""): string[] {
  let inner = shape as Shape;
  while (inner.def?.innerType !== undefined) inner = inner.def.innerType as Shape;
  if (inner.shape === undefined) return above === "" ? [] : [above];
  return Object.entries(inner.shape).flatMap(([key, member]) =>
    keysOf(member, above === "" ? key : `${above}.${key}`),
  );
}
