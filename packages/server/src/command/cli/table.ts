/** Text from elsewhere on its way to a terminal: what could move its cursor or hide is shown as a question mark. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Rows for people, or JSON lines for scripts. */
export function table(
  rows: readonly Readonly<Record<string, string | number>>[],
  json: boolean,
  none: string,
): string {
  if (json) return rows.map((row) => JSON.stringify(row)).join("\n");
  const [first] = rows;
  if (!first) return none;
  const names = Object.keys(first);
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => printable(String(row[name])).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(names), ...rows.map((row) => line(names.map((name) => printable(String(row[name])))))].join(
    "\n",
  );
}
