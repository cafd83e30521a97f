/**
 * The part of the configuration that belongs to one channel, under `channels:`. It is in `channel/<name>/section.ts`, beside the
 * channel, and listed in `channel/sections.ts`.
 */
import type { z } from "zod";
import type { Problem } from "./problem.ts";

export type ChannelSection<V, S extends object> = {
  readonly schema: z.ZodType<V>;
  /** Checks the values, reports problems, and returns the channel's settings. */
  readonly read: (values: V, context: ChannelSectionContext) => S;
  /** One line of YAML for the file that `countersign init` writes. Undefined: not in the sample. */
  readonly sample?: string;
};

export type ChannelSectionContext = {
  /** `path` is inside the channel's section. */
  readonly addProblem: (problem: Problem) => void;
  /** Makes a path absolute; relative paths start at the directory of the file. */
  readonly resolvePath: (path: string) => string;
};

/** Defines the configuration of a channel. */
export function defineChannelSection<V, S extends object>(
  section: ChannelSection<V, S>,
): ChannelSection<V, S> {
  return section;
}
