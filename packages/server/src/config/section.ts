/**
 * A section of the configuration: one or more top-level keys with their schemas and defaults, the checks that go beyond the
 * form of a value, the settings that it is read as, and its part of the file that `countersign init` writes. To add one:
 * a file that calls `defineSection` and a line in `sections.ts`.
 */
import type { z } from "zod";
import type { AddProblem } from "./problem.ts";

type Shape = z.core.$ZodLooseShape;
export type SectionValues<S extends Shape> = z.output<z.ZodObject<S>>;

/** What `read` can use besides its own values. */
export type SectionContext = {
  readonly addProblem: AddProblem;
  /**
   * Returns another section, as validated and as read, or undefined if its values do not have the right form. Its `read`
   * may have reported problems: these are not to be reported again.
   */
  readonly use: <S extends Shape, T extends object>(
    section: Section<S, T>,
  ) => { readonly values: SectionValues<S>; readonly settings: T } | undefined;
  /** Makes a path absolute; relative paths start at the directory of the file. */
  readonly resolvePath: (path: string) => string;
};

/** Answers to the questions of `countersign init`. */
export type SampleOptions = {
  /** The URL that clients use, without a trailing slash. */
  readonly issuer: string;
  /** E-mail address of the first approver. */
  readonly approver: string;
};

export type Section<S extends Shape, T extends object, R extends boolean = boolean> = {
  /** Schemas by top-level key, with defaults. */
  readonly shape: S;
  /**
   * Checks the values, reports problems, and returns members of `Config`. The result is discarded if any section reported
   * a problem.
   */
  readonly read: (values: SectionValues<S>, context: SectionContext) => T;
  /** True: a policy, which `countersign reload` replaces. False: a setting, which is fixed until the server restarts. */
  readonly reloadable: R;
  /** Schemas of items that `read` validates one by one. Their keys are documented, too. */
  readonly items?: readonly z.ZodType[];
  /** YAML with comments. Undefined: not in the sample. */
  readonly sample?: (options: SampleOptions) => string;
};

/** What a section is read as. */
export type SettingsOf<S> = S extends { readonly read: (...args: never) => infer T } ? T : never;

/** Defines a section whose settings are fixed until the server restarts. */
export function defineSection<const S extends Shape, T extends object>(
  options: Omit<Section<S, T>, "reloadable">,
): Section<S, T, false> {
  return { ...options, reloadable: false };
}

/** Defines a section that a running server can reload. */
export function definePolicy<const S extends Shape, T extends object>(
  options: Omit<Section<S, T>, "reloadable">,
): Section<S, T, true> {
  return { ...options, reloadable: true };
}
