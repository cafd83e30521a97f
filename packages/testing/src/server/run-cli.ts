/** Runs the command-line interface in this process. */
import { runCommand } from "../../../server/src/command/cli/run.ts";

export type CliResult = { readonly code: number; readonly out: string; readonly err: string };

export async function runCli(words: readonly string[]): Promise<CliResult> {
  const said = { out: "", err: "" };
  const code = await runCommand(words, {
    stdout: (text) => {
      said.out += `${text}\n`;
    },
    stderr: (text) => {
      said.err += `${text}\n`;
    },
    isTTY: false,
    signal: new AbortController().signal,
  });
  return { code, ...said };
}
