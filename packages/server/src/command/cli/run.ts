/** The command line: finds and runs a command, prints help, maps errors to exit codes (0, 1, 2, 70). */
import { parseArgs } from "node:util";
import { describeFault, formatError } from "../../logging/format-error.ts";
import type { Arguments, Command, Option, Terminal } from "./command.ts";
import { OperatorError } from "./operator-error.ts";
import { readVersion } from "./version.ts";

/** Command nouns in the order of the overview. A file is loaded when its noun is used, or for the overview. */
const loaders: { readonly [noun: string]: () => Promise<readonly Command[]> } = {
  init: async () => [(await import("../init.ts")).initCommand],
  check: async () => [(await import("../check/check.ts")).checkCommand],
  doctor: async () => [(await import("../check/doctor.ts")).doctorCommand],
  backup: async () => [(await import("../backup.ts")).backupCommand],
  start: async () => [(await import("../start.ts")).startCommand],
  reload: async () => [(await import("../reload.ts")).reloadCommand],
  agent: async () => (await import("../agent/agent.ts")).agentCommands,
  api: async () => (await import("../api.ts")).apiCommands,
  approver: async () => (await import("../approver.ts")).approverCommands,
  device: async () => (await import("../approver.ts")).deviceCommands,
  requests: async () => (await import("../request.ts")).requestCommands,
  denials: async () => (await import("../denial.ts")).denialCommands,
  messages: async () => (await import("../message.ts")).messageCommands,
  callbacks: async () => (await import("../callback.ts")).callbackCommands,
  keys: async () => (await import("../key.ts")).keyCommands,
  log: async () => (await import("../log.ts")).logCommands,
  evidence: async () => (await import("../evidence.ts")).evidenceCommands,
  store: async () => (await import("../store.ts")).storeCommands,
};

async function loadCommands(noun: string): Promise<readonly Command[]> {
  return Object.hasOwn(loaders, noun) ? ((await loaders[noun]?.()) ?? []) : [];
}

const globalOptions: { readonly [name: string]: Option } = {
  config: {
    type: "string",
    short: "c",
    value: "FILE",
    summary: "the configuration (default: ./countersign.yaml)",
  },
  help: { type: "boolean", short: "h", summary: "print this help" },
};

const exitStatus = "Exit status: 0 success, 1 operator error, 2 usage error, 70 internal error.";

export async function runCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const noun = await loadCommands(argv[0] ?? "");
    const command = noun.findLast(({ name }) => name.split(" ").every((word, at) => argv[at] === word));
    if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-v")) {
      terminal.stdout(readVersion());
      return 0;
    }
    if (!command) return await printOverview(noun, argv, terminal);
    const options = { ...command.options, ...globalOptions };
    const rest = argv.slice(command.name.split(" ").length);
    const { values, positionals } = parseArgs({ args: [...rest], options, allowPositionals: true });
    if (values.help) {
      terminal.stdout(formatHelp(command));
      return 0;
    }
    const minPositionals = (command.args ?? "").split(" ").filter((word) => word.startsWith("<")).length;
    const maxPositionals = (command.args ?? "").split(" ").filter(Boolean).length;
    if (positionals.length < minPositionals || positionals.length > maxPositionals)
      throw new OperatorError(
        `usage: countersign ${command.name} ${command.args ?? ""}`.trim(),
        `See countersign ${command.name} --help.`,
        2,
      );
    const args: Arguments = {
      positionals: positionals,
      option: (name) => values[name] as string | undefined,
      optionList: (name) => (values[name] as string[] | undefined) ?? [],
      flag: (name) => values[name] === true,
    };
    return (await command.run(args, terminal)) ?? 0;
  } catch (error) {
    return reportError(error, terminal);
  }
}

function reportError(error: unknown, { stderr }: Terminal): number {
  if (error instanceof OperatorError) {
    stderr(`countersign: ${error.message}`);
    if (error.remedy) stderr(error.remedy);
    return error.exitCode;
  }
  if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")) {
    stderr(`countersign: ${error.message}`);
    return 2;
  }
  stderr("countersign: internal error; please report it with the output below");
  for (const line of formatError(describeFault(error))) stderr(line);
  return 70;
}

async function printOverview(
  noun: readonly Command[],
  argv: readonly string[],
  { stdout, stderr }: Terminal,
): Promise<number> {
  const isHelp = argv.length === 0 || argv[0] === "--help" || argv[0] === "-h" || argv[0] === "help";
  const commands =
    noun.length > 0 ? [] : (await Promise.all(Object.values(loaders).map((file) => file()))).flat();
  if (isHelp) stdout(formatOverview(commands));
  else if (noun.length > 0) stderr(formatOverview(noun));
  else stderr(`countersign: unknown command "${argv[0]}"\n\n${formatOverview(commands)}`);
  return isHelp ? 0 : 2;
}

function formatOverview(commands: readonly Command[]): string {
  const lines = commands.map(
    ({ name, args = "", summary }) => `  ${`${name} ${args}`.padEnd(34)} ${summary}`,
  );
  return [
    "usage: countersign <command> [options]",
    "",
    ...lines,
    "",
    "countersign <command> --help lists the options of a command; countersign --version prints the version.",
    exitStatus,
  ].join("\n");
}

function formatHelp({ name, args = "", summary, options = {} }: Command): string {
  const lines = Object.entries({ ...options, ...globalOptions }).map(
    ([long, { short, value, summary: text }]) => {
      const spelled = `${short ? `-${short}, ` : "    "}--${long}${value ? ` ${value}` : ""}`;
      return `  ${spelled.padEnd(34)} ${text}`;
    },
  );
  return [`usage: countersign ${name} ${args}`.trimEnd(), "", summary, "", ...lines, "", exitStatus].join(
    "\n",
  );
}
