/** Statistics of several rounds, and their formatting. */

export type Range = { readonly min: number; readonly median: number; readonly max: number };

/** Returns a quantile of a list. */
export function quantile(list: readonly number[], fraction: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

export function computeRange(list: readonly number[]): Range {
  return { min: Math.min(...list), median: quantile(list, 0.5), max: Math.max(...list) };
}

export const formatInteger = (value: number) => Math.round(value).toLocaleString("en-US");

/** Returns `3.1 (2.8–3.4)`: median, minimum and maximum of the rounds. */
export function formatRange(
  { min, median, max }: Range,
  format = (value: number) => value.toFixed(2),
): string {
  return `${format(median)} (${format(min)}–${format(max)})`;
}

/** Returns a Markdown table. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => (row[at] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
