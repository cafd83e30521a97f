/**
 * Checks code samples in Markdown. A sample preceded by `<!-- snippet: path#region -->` must equal, byte for byte, the text
 * between `#region name` and `#endregion` of that file without indentation, so that README samples are code that runs in CI.
 * `--write` updates the documents.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";

const write = process.argv.includes("--write");
const sample = /<!-- snippet: ([^\s#]+)#([\w-]+) -->\n```(\w*)\n([\s\S]*?)```/g;
let checked = 0;
let stale = 0;

for (const file of globSync("{*.md,docs/**/*.md,packages/*/README.md,examples/*/README.md}")) {
  const text = readFileSync(file, "utf8");
  const fresh = text.replaceAll(
    sample,
    (whole, path: string, region: string, language: string, body: string) => {
      checked += 1;
      const expected = regionOf(path, region);
      if (body === expected) return whole;
      stale += 1;
      console.error(`${file}: the sample ${path}#${region} differs from the file; run with --write`);
      return `<!-- snippet: ${path}#${region} -->\n\`\`\`${language}\n${expected}\`\`\``;
    },
  );
  if (write && fresh !== text) writeFileSync(file, fresh);
}
console.log(`${checked} snippets checked, ${stale} ${write ? "rewritten" : "stale"}`);
process.exitCode = stale > 0 && !write ? 1 : 0;

function regionOf(path: string, region: string): string {
  const lines = readFileSync(path, "utf8").split("\n");
  const start = lines.findIndex((line) => new RegExp(`#region ${region}\\s*$`).test(line));
  const end = lines.findIndex((line, at) => at > start && line.includes("#endregion"));
  if (start < 0 || end < 0) throw new Error(`${path} has no region ${region}`);
  const inside = lines.slice(start + 1, end);
  const indent = Math.min(
    ...inside.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length),
  );
  return `${inside.map((line) => line.slice(indent)).join("\n")}\n`;
}
