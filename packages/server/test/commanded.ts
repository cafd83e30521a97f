/** The command as an operator would give it, but for the process of its own. */
import { runCommand } from "../src/command/run.ts";

export type Commanded = { readonly code: number; readonly out: string; readonly err: string };

export async function commanded(words: readonly string[]): Promise<Commanded> {
  const said = { out: "", err: "" };
  const code = await runCommand(words, {
    print: (text) => {
      said.out += `${text}\n`;
    },
    complain: (text) => {
      said.err += `${text}\n`;
    },
    screen: false,
    stop: new AbortController().signal,
  });
  return { code, ...said };
}
