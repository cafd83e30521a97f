/** Problems of the configuration: path, message, remedy. Values are validated with zod, whose messages are replaced. */
import type { z } from "zod";
import type { Path } from "./document.ts";
import { suggestSpelling } from "./spelling.ts";

/** `path` begins with the top-level key. `message` is the problem in one clause, `remedy` the change that fixes it. */
export type Problem = { readonly path: Path; readonly message: string; readonly remedy: string };
export type AddProblem = (problem: Problem) => void;

/** Validates a value. Reports every problem; returns undefined if there is one. */
export function validate<T>(
  schema: z.ZodType<T>,
  value: unknown,
  at: Path,
  addProblem: AddProblem,
): T | undefined {
  const result = schema.safeParse(value, { error: describeIssue });
  if (result.success) return result.data;
  for (const issue of result.error.issues) for (const problem of toProblems(issue, at)) addProblem(problem);
  return undefined;
}

/** Returns the problem of a key that does not exist among `known`. */
export function createUnknownKeyProblem(key: string, at: Path, known: readonly string[]): Problem {
  const renamed = renamedKeys.get(key);
  const remedy =
    renamed !== undefined && known.includes(renamed)
      ? `${key} is now called ${renamed}`
      : suggestSpelling(key, known);
  return { path: [...at, key], message: `unknown key ${key}`, remedy };
}

function toProblems(issue: z.core.$ZodIssue, at: Path): Problem[] {
  const path = [...at, ...(issue.path as Path)];
  if (issue.code === "unrecognized_keys")
    // The message is the list of known keys: see `defineObject` in field.ts.
    return issue.keys.map((key) => createUnknownKeyProblem(key, path, issue.message.split(" ")));
  // The reason for an invalid key is in the nested issue.
  const message = issue.code === "invalid_key" ? issue.issues[0]?.message : issue.message;
  const [what = "", remedy = "compare with the commented file that countersign init writes"] = (
    message ?? ""
  ).split("\n");
  return [{ path, message: what, remedy }];
}

/** New names of keys that were renamed before the first release. */
const renamedKeys: ReadonlyMap<string, string> = new Map([
  ["subject", "deny_by"],
  ["together_with", "combinable_with"],
  ["time_limit", "timeout"],
  ["requests", "access_log"],
  ["waiting_per_agent", "max_pending_per_agent"],
  ["asks_per_hour", "max_requests_per_hour"],
]);

/** Messages for issues without one in the schemas. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  if (issue.code === "invalid_type") {
    const key = String(issue.path?.at(-1) ?? "the file");
    const expected = typeLabels[issue.expected] ?? issue.expected;
    if (input === undefined) return `${key} is missing\nadd ${key}: with ${expected}`;
    return `${input === null ? "this is empty" : "this has the wrong form"}\nwrite ${expected}`;
  }
  if (issue.code === "invalid_value") return `invalid value\nwrite ${issue.values.join(", or ")}`;
  return undefined;
}

const typeLabels: { readonly [expected: string]: string } = {
  string: "text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "keys and values",
  record: "names with values",
};
