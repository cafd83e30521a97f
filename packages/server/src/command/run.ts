/** From words to a command: the list of all of them, `--help`, and what is said when something goes wrong. */
import { parseArgs } from "node:util";
import { describeFault, faultLines } from "../journal/fault.ts";
import { agentCommands } from "./agent.ts";
import { apiCommands } from "./api.ts";
import { approverCommands } from "./approver.ts";
import { backupCommand } from "./backup.ts";
import { callbackCommands } from "./callback.ts";
import { checkCommand } from "./check.ts";
import type { Arguments, Command, Option, Terminal } from "./command.ts";
import { doctorCommand } from "./doctor.ts";
import { evidenceCommands } from "./evidence.ts";
import { initCommand } from "./init.ts";
import { keyCommands } from "./key.ts";
import { latchCommands } from "./latch.ts";
import { logCommands } from "./log.ts";
import { messageCommands } from "./message.ts";
import { OperatorError } from "./operator-error.ts";
import { requestCommands } from "./request.ts";
import { startCommand } from "./start.ts";
import { storeCommands } from "./store.ts";
import { version } from "./version.ts";

const commands: readonly Command[] = [
  initCommand,
  checkCommand,
  doctorCommand,
  backupCommand,
  startCommand,
  ...agentCommands,
  ...apiCommands,
  ...approverCommands,
  ...requestCommands,
  ...latchCommands,
  ...messageCommands,
  ...callbackCommands,
  ...keyCommands,
  ...logCommands,
  ...evidenceCommands,
  ...storeCommands,
];

const everywhere: { readonly [name: string]: Option } = {
  config: {
    type: "string",
    short: "c",
    value: "FILE",
    says: "the configuration (default: ./countersign.yaml)",
  },
  help: { type: "boolean", short: "h", says: "this text" },
};

export async function runCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const command = commands.findLast(({ name }) => name.split(" ").every((word, at) => argv[at] === word));
  try {
    if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-v")) {
      terminal.print(version());
      return 0;
    }
    if (!command) return unknown(argv, terminal);
    const options = { ...command.options, ...everywhere };
    const rest = argv.slice(command.name.split(" ").length);
    const { values, positionals } = parseArgs({ args: [...rest], options, allowPositionals: true });
    if (values.help) {
      terminal.print(help(command));
      return 0;
    }
    const wanted = (command.takes ?? "").split(" ").filter((word) => word.startsWith("<")).length;
    const most = (command.takes ?? "").split(" ").filter(Boolean).length;
    if (positionals.length < wanted || positionals.length > most)
      throw new OperatorError(
        `usage: countersign ${command.name} ${command.takes ?? ""}`.trim(),
        `countersign ${command.name} --help says more`,
        2,
      );
    const given: Arguments = {
      words: positionals,
      one: (name) => values[name] as string | undefined,
      many: (name) => (values[name] as string[] | undefined) ?? [],
      flag: (name) => values[name] === true,
    };
    return (await command.run(given, terminal)) ?? 0;
  } catch (error) {
    return explain(error, terminal);
  }
}

function explain(error: unknown, { complain }: Terminal): number {
  if (error instanceof OperatorError) {
    complain(`countersign: ${error.message}`);
    if (error.remedy) complain(error.remedy);
    return error.exitCode;
  }
  if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")) {
    complain(`countersign: ${error.message}`);
    return 2;
  }
  complain("countersign: a fault of ours; please report it with what follows");
  for (const line of faultLines(describeFault(error))) complain(line);
  return 70;
}

function unknown(argv: readonly string[], { print, complain }: Terminal): number {
  const asked = argv.length === 0 || argv[0] === "--help" || argv[0] === "-h" || argv[0] === "help";
  const noun = commands.filter(({ name }) => name.split(" ")[0] === argv[0]);
  if (asked) print(overview(commands));
  else if (noun.length > 0) complain(overview(noun));
  else complain(`countersign: there is no command "${argv[0]}"\n\n${overview(commands)}`);
  return asked ? 0 : 2;
}

function overview(some: readonly Command[]): string {
  const lines = some.map(({ name, takes = "", says }) => `  ${`${name} ${takes}`.padEnd(34)} ${says}`);
  return [
    "usage: countersign <command> [options]",
    "",
    ...lines,
    "",
    "countersign <command> --help says more, countersign --version which one this is.",
  ].join("\n");
}

function help({ name, takes = "", says, options = {} }: Command): string {
  const lines = Object.entries({ ...options, ...everywhere }).map(([long, { short, value, says: text }]) => {
    const spelled = `${short ? `-${short}, ` : "    "}--${long}${value ? ` ${value}` : ""}`;
    return `  ${spelled.padEnd(34)} ${text}`;
  });
  return [`usage: countersign ${name} ${takes}`.trimEnd(), "", says, "", ...lines].join("\n");
}
