/**
 * The `countersign` command, one file per noun. A command parses its arguments, calls use cases, and prints the result.
 * Operator errors are printed with a remedy and exit with 1, usage errors exit with 2; only an internal error (70)
 * prints a stack.
 */
import type { ParseArgsOptionsConfig } from "node:util";

/** The output streams of a command, and the signal that stops it. */
export type Terminal = {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether standard output is a terminal. */
  readonly isTTY: boolean;
  readonly signal: AbortSignal;
};

export type Option = ParseArgsOptionsConfig[string] & {
  /** Its description in `--help`. */
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
  /** Positional arguments after the name: `<id>`, or `[id]` if optional. */
  readonly args?: string;
  readonly options?: { readonly [name: string]: Option };
  /** Returns the exit code; undefined means 0. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number> | Promise<void>;
};
