/** Replaces control and format characters, which could move the cursor or hide text in a terminal, with question marks. */
export function replaceControlChars(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Formats rows as an aligned table, or as JSON lines. */
export function formatTable(
  rows: readonly Readonly<Record<string, string | number>>[],
  asJson: boolean,
  emptyText: string,
): string {
  if (asJson) return rows.map((row) => JSON.stringify(row)).join("\n");
  const [first] = rows;
  if (!first) return emptyText;
  const names = Object.keys(first);
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => replaceControlChars(String(row[name])).length)),
  );
  const formatRow = (cells: readonly string[]) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    formatRow(names),
    ...rows.map((row) => formatRow(names.map((name) => replaceControlChars(String(row[name]))))),
  ].join("\n");
}
