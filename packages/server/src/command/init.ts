import { existsSync, writeFileSync } from "node:fs";
import { parseConfig, problemText } from "../config/config.ts";
import { sampleConfig } from "../config/sample.ts";
import type { Arguments, Command } from "./cli/command.ts";
import { configFile, createDeployment, readConfig } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";

const sampleApprover = "ada@example.com";

export const initCommand: Command = {
  name: "init",
  summary:
    "write a commented countersign.yaml, and make the key and the database that it names; overwrites nothing",
  options: {
    issuer: {
      type: "string",
      value: "URL",
      summary: "where agents and approvers reach this server (default: http://localhost:4400)",
    },
    approver: {
      type: "string",
      value: "EMAIL",
      summary: `who may approve the sample action (default: ${sampleApprover})`,
    },
    "if-missing": {
      type: "boolean",
      summary: "end well where there is a database already, and leave it alone",
    },
  },
  run: async (given, { stdout }) => {
    const file = configFile(given);
    const isThere = existsSync(file);
    if (!isThere) {
      writeSample(given, file);
      stdout(`wrote ${file}`);
    }
    const made = await createDeployment(readConfig(given));
    if (isThere && made.length === 0 && given.flag("if-missing"))
      stdout("nothing to do: it is there already");
    else if (isThere && made.length === 0)
      throw new OperatorError(
        `${file} and its database are there already`,
        "countersign check looks at them; countersign start runs them.",
      );
    for (const path of made) stdout(`made ${path}`);
    if (made.length > 1)
      stdout("Keep a copy of the key apart from the database: without it nothing sealed can be opened.");
    if (!isThere) stdout(nextSteps(file, given.one("approver") ?? sampleApprover));
  },
};

function writeSample(given: Arguments, file: string): void {
  const text = sampleConfig({
    issuer: given.one("issuer") ?? "http://localhost:4400",
    approver: given.one("approver") ?? sampleApprover,
  });
  const read = parseConfig(text, file);
  if ("problems" in read)
    throw new OperatorError(`that will not do:\n${read.problems.map(problemText).join("\n")}`);
  writeFileSync(file, text, { flag: "wx" });
}

function nextSteps(file: string, approver: string): string {
  return `
Next:
  1. read ${file}; it declares one action, "refund", to play with
  2. countersign agent add refund-agent --name "Refund desk" --type refund
  3. countersign api add refunds-api --api refunds
  4. countersign approver invite ${approver}
  5. countersign start`;
}
