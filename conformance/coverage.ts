/** Finds the requirements that scenarios cite, in their source text, and counts them by specification. */
import { globSync, readFileSync } from "node:fs";
import { specifications } from "./requirements.ts";

const here = import.meta.dirname;

/** Requirement ids: a specification's prefix, a clause, a number. */
const citation = new RegExp(
  `"((?:${specifications.map(({ prefix }) => prefix).join("|")})-[a-z0-9.-]*[0-9]-[0-9]+)"`,
  "g",
);

/** Returns the citing files of each cited id. */
export function citations(): ReadonlyMap<string, readonly string[]> {
  const cited = new Map<string, string[]>();
  for (const file of globSync("**/*.test.ts", { cwd: here, exclude: ["**/node_modules"] }).sort())
    for (const [, id = ""] of readFileSync(`${here}/${file}`, "utf8").matchAll(citation))
      cited.set(id, [...(cited.get(id) ?? []), file]);
  return cited;
}

export type Row = {
  readonly name: string;
  readonly title: string;
  readonly requirements: number;
  readonly tested: number;
  /** Known failures. */
  readonly knownFailure: number;
  readonly notApplicable: number;
};

export function coverage(): readonly Row[] {
  const cited = citations();
  return specifications.map(({ name, title, requirements }) => ({
    name,
    title,
    requirements: requirements.length,
    tested: requirements.filter((one) => one.knownFailure === undefined && cited.has(one.id)).length,
    knownFailure: requirements.filter((one) => one.knownFailure !== undefined).length,
    notApplicable: requirements.filter((one) => one.notApplicable !== undefined).length,
  }));
}
