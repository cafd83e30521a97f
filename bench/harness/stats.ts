/** Statistics of several rounds, and their formatting. */

export type Range = { readonly least: number; readonly median: number; readonly most: number };

/** Returns a quantile of a list. */
export function quantile(list: readonly number[], part: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

export function rangeOf(list: readonly number[]): Range {
  return { least: Math.min(...list), median: quantile(list, 0.5), most: Math.max(...list) };
}

export const whole = (value: number) => Math.round(value).toLocaleString("en-US");

/** Returns `3.1 (2.8–3.4)`: median, minimum and maximum of the rounds. */
export function formatRange(
  { least, median, most }: Range,
  say = (value: number) => value.toFixed(2),
): string {
  return `${say(median)} (${say(least)}–${say(most)})`;
}

/** Returns a Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => (row[at] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
