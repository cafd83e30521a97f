import { definitions, type Kind } from "./records.ts";

/** Creates the indexes of a kind: the same SQL for both engines. `quote` returns the table's full name. */
export function createIndexSql(kind: Kind, quote: (table: string) => string): string {
  return definitions[kind].indexes
    .map(({ name, on, unique, where }) => {
      const create = unique ? "CREATE UNIQUE INDEX" : "CREATE INDEX";
      const condition = where === undefined ? "" : ` WHERE ${where}`;
      return `${create} ${kind}_${name} ON ${quote(kind)} (${on.join(", ")})${condition};`;
    })
    .join("\n");
}
