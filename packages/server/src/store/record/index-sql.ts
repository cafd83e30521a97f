import type { Index } from "./define-record.ts";

/** Creates the indexes of a table: the same SQL for both engines. `quote` returns the table's full name. */
export function createIndexSql(
  table: string,
  indexes: readonly Index[],
  quote: (table: string) => string,
): string {
  return indexes
    .map(({ name, on, unique, where }) => {
      const create = unique ? "CREATE UNIQUE INDEX" : "CREATE INDEX";
      const condition = where === undefined ? "" : ` WHERE ${where}`;
      return `${create} ${table}_${name} ON ${quote(table)} (${on.join(", ")})${condition};`;
    })
    .join("\n");
}
