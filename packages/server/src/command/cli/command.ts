/**
 * The `countersign` command, one file per noun. A command reads its arguments, calls operations, and prints what a
 * person or a script needs next. What the operator did wrong is said in a sentence with a remedy and exit code 1 (2 for
 * words that were not understood); only a fault of ours shows a stack.
 */
import type { ParseArgsOptionsConfig } from "node:util";

/** Where a command's words go, and what ends it early. */
export type Terminal = {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether a person sees what is printed, rather than a file or another program. */
  readonly isTTY: boolean;
  readonly signal: AbortSignal;
};

export type Option = ParseArgsOptionsConfig[string] & {
  /** What `--help` says. */
  readonly summary: string;
  /** The placeholder for its value. */
  readonly value?: string;
};

export type Arguments = {
  readonly positionals: readonly string[];
  readonly option: (name: string) => string | undefined;
  readonly optionList: (name: string) => readonly string[];
  readonly flag: (name: string) => boolean;
};

export type Command = {
  /** One or two words: `start`, `agent add`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `<id>`. */
  readonly args?: string;
  readonly options?: { readonly [name: string]: Option };
  /** Answers the exit code; nothing means 0. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number> | Promise<void>;
};
