import { existsSync, writeFileSync } from "node:fs";
import { formatProblem, parseConfig } from "../config/config.ts";
import { writeSampleConfig } from "../config/sample.ts";
import type { Arguments, Command } from "./cli/command.ts";
import { createDeployment, readConfig, resolveConfigFile } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";

const sampleApprover = "ada@example.com";

export const initCommand: Command = {
  name: "init",
  summary: "write a commented countersign.yaml and create its root key and database; never overwrites files",
  options: {
    issuer: {
      type: "string",
      value: "URL",
      summary: "the URL at which agents and approvers reach this server (default: http://localhost:4400)",
    },
    approver: {
      type: "string",
      value: "EMAIL",
      summary: `the approver of the sample action (default: ${sampleApprover})`,
    },
    "if-missing": {
      type: "boolean",
      summary: "exit 0 without changes if the database exists",
    },
  },
  run: async (args, { stdout }) => {
    const file = resolveConfigFile(args);
    const configExists = existsSync(file);
    if (!configExists) {
      writeSample(args, file);
      stdout(`wrote ${file}`);
    }
    const createdPaths = await createDeployment(readConfig(args));
    if (configExists && createdPaths.length === 0 && args.flag("if-missing"))
      stdout("nothing to do: the database exists");
    else if (configExists && createdPaths.length === 0)
      throw new OperatorError(
        `${file} and its database already exist`,
        "Validate them with countersign check, or run countersign start.",
      );
    for (const path of createdPaths) stdout(`created ${path}`);
    if (createdPaths.length > 1)
      stdout(
        "Back up the root key separately from the database: without it, encrypted values cannot be decrypted.",
      );
    if (!configExists) stdout(formatNextSteps(file, args.option("approver") ?? sampleApprover));
  },
};

function writeSample(args: Arguments, file: string): void {
  const text = writeSampleConfig({
    issuer: args.option("issuer") ?? "http://localhost:4400",
    approver: args.option("approver") ?? sampleApprover,
  });
  const result = parseConfig(text, file);
  if ("problems" in result)
    throw new OperatorError(`invalid value:\n${result.problems.map(formatProblem).join("\n")}`);
  writeFileSync(file, text, { flag: "wx" });
}

function formatNextSteps(file: string, approver: string): string {
  return `
Next:
  1. read ${file}; it declares one action, "refund", as an example
  2. countersign agent add refund-agent --name "Refund desk" --type refund
  3. countersign api add refunds-api --for refunds
  4. countersign approver invite ${approver}
  5. countersign start`;
}
