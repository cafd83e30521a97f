/**
 * Prints the tested requirements of each specification as a Markdown table, and the known failures. `--write` updates
 * `docs/conformance.md` between the markers.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { coverage, type Row } from "./coverage.ts";
import { specifications } from "./requirements.ts";

const document = new URL("../docs/conformance.md", import.meta.url);

export function coverageTable(): string {
  const rows = coverage();
  const sum = (pick: (row: Row) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const cells = rows.map(({ name, title, requirements, tested, knownFailure, notApplicable }) => [
    `${name}: ${title}`,
    ...[requirements, tested, knownFailure, notApplicable].map(String),
  ]);
  const total = [
    "all",
    ...[
      sum((row) => row.requirements),
      sum((row) => row.tested),
      sum((row) => row.knownFailure),
      sum((row) => row.notApplicable),
    ].map(String),
  ];
  const head = ["specification", "requirements", "tested", "known failures", "not applicable"];
  return markdown([head, ...cells, total]);
}

/** Lists known failures by reason. */
export function failureList(): string {
  return byReason("knownFailure");
}

/** Lists requirements that are not applicable, by reason. */
export function notOursList(): string {
  return byReason("notApplicable");
}

function byReason(kind: "knownFailure" | "notApplicable"): string {
  const reasons = new Map<string, string[]>();
  for (const { id, [kind]: why } of specifications.flatMap(({ requirements }) => requirements))
    if (why !== undefined) reasons.set(why, [...(reasons.get(why) ?? []), id]);
  if (reasons.size === 0) return "Nothing.";
  return [...reasons]
    .map(([why, ids]) => `- **${why}**: ${ids.map((id) => `\`${id}\``).join(", ")}`)
    .join("\n");
}

function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |`;
  const [head = [], ...rest] = rows;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)].join(
    "\n",
  );
}

const parts = { coverage: coverageTable, failures: failureList, "not-ours": notOursList };

/** Returns the updated document. */
export function freshDocument(text = readFileSync(document, "utf8")): string {
  return Object.entries(parts).reduce(
    (fresh, [name, write]) =>
      fresh.replace(
        new RegExp(`(<!-- ${name} -->)[\\s\\S]*?(<!-- /${name} -->)`),
        (_, open, close) => `${open}\n\n${write()}\n\n${close}`,
      ),
    text,
  );
}

if (import.meta.main) {
  if (process.argv.includes("--write")) writeFileSync(document, freshDocument());
  console.log(`${coverageTable()}\n\n${failureList()}\n\n${notOursList()}`);
}
