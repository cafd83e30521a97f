/**
 * Reads the configuration file. Its sections are in `sections.ts`; approvers, devices and other agents are in the store. The
 * file contains no secrets. All problems are reported together, each with line and remedy; a file with a problem is not used.
 * The configuration does not read the environment and is immutable.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { freezeDeep } from "../domain/action/build.ts";
import type { RegistrationPolicy } from "../domain/client/registration.ts";
import type { ConfigValues } from "./digest.ts";
import { type Path, parseConfigText } from "./document.ts";
import { createUnknownKeyProblem, type Problem, validate } from "./problem.ts";
import { listOfferedAuthMethods } from "./section/listen.ts";
import type { Section, SectionContext } from "./section.ts";
import { type Policy, type Settings, sections } from "./sections.ts";

/** Everything in the file: settings that are fixed until the server restarts, and policy that it can reload. */
export type Config = Settings & Policy;

export type ConfigProblem = {
  readonly file: string;
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
  /** Such as "actions.refund.bound[0]"; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
};
export type ConfigProblems = { readonly problems: readonly ConfigProblem[] };
/** The configuration, and the validated values that it was read from. */
export type LoadedConfig = { readonly config: Config; readonly values: ConfigValues };

/** Loads the file. Returns problems also if the file cannot be read. */
export function loadConfig(file: string): LoadedConfig | ConfigProblems {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const message = code === "ENOENT" ? "the file does not exist" : `the file cannot be read (${code})`;
    const remedy = "run countersign init to write one, or name another file";
    return { problems: [{ file, line: 1, column: 1, path: "", message, remedy }] };
  }
  return parseConfig(text, file);
}

/** Parses the text. `file` is used in problems and as the base of relative paths. */
export function parseConfig(text: string, file: string): LoadedConfig | ConfigProblems {
  const document = parseConfigText(text);
  if ("problems" in document)
    return { problems: document.problems.map((problem) => ({ file, path: "", ...problem })) };
  const problems: Problem[] = [];
  const { values, settings } = readSections(document.value, dirname(resolve(file)), problems);
  if (problems.length > 0)
    return {
      problems: problems
        .map(({ path, message, remedy }) => {
          return { file, ...document.locate(path), path: formatPath(path), message, remedy };
        })
        .sort((a, b) => a.line - b.line || a.column - b.column),
    };
  return { config: freezeDeep(settings as Config), values };
}

type AnySection = Section<z.core.$ZodLooseShape, object>;
type SectionResult = { readonly values: ConfigValues; readonly settings: object };

/** Validates and reads every section. Appends all problems to `problems`. */
function readSections(file: unknown, baseDir: string, problems: Problem[]): SectionResult {
  const addProblem = (problem: Problem) => void problems.push(problem);
  const keys = sections.flatMap(({ shape }) => Object.keys(shape));
  const members = validate(z.looseObject({}), file, [], addProblem);
  if (!members) return { values: {}, settings: {} };
  for (const key of Object.keys(members))
    if (!keys.includes(key)) addProblem(createUnknownKeyProblem(key, [], keys));

  const results = new Map<AnySection, SectionResult | undefined>();
  const context: SectionContext = {
    addProblem,
    use: (section) => readSection(section as unknown as AnySection) as never,
    resolvePath: (path) => resolve(baseDir, path),
  };
  const read = sections.map((section) => readSection(section as unknown as AnySection));
  return {
    values: Object.assign({}, ...read.map((result) => result?.values)),
    settings: Object.assign({}, ...read.map((result) => result?.settings)),
  };

  /** Reads each section once, whether it is next or another section uses it. */
  function readSection(section: AnySection): SectionResult | undefined {
    if (results.has(section)) return results.get(section);
    const sectionMembers = Object.fromEntries(
      Object.keys(section.shape).flatMap((key) =>
        Object.hasOwn(members!, key) ? [[key, members![key]]] : [],
      ),
    );
    const values = validate(z.object(section.shape), sectionMembers, [], addProblem);
    const result = values && { values, settings: section.read(values, context) };
    results.set(section, result);
    return result;
  }
}

/** Returns the policy that agent registrations are checked against. */
export function toRegistrationPolicy({
  actions,
  outbound,
  mtls,
}: Pick<Config, "actions" | "outbound" | "mtls">): RegistrationPolicy {
  return { types: actions, outbound, methods: listOfferedAuthMethods(mtls) };
}

/** Formats a problem as one line: position, path, message, remedy. */
export function formatProblem({ file, line, column, path, message, remedy }: ConfigProblem): string {
  return `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}; ${remedy}`;
}

function formatPath(path: Path): string {
  return path
    .map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${step}`))
    .join("");
}
