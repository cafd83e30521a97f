import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseConfig, problemText } from "../config/config.ts";
import { initialConfig } from "../config/initial.ts";
import { createOutsideKey } from "../keys/outside-key.ts";
import type { Arguments, Command } from "./command.ts";
import { configFile, readConfig } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";

export const initCommand: Command = {
  name: "init",
  says: "write a commented countersign.yaml, unless there is one, and create its key",
  options: {
    issuer: {
      type: "string",
      value: "URL",
      says: "where agents and approvers reach this server (default: http://localhost:4400)",
    },
    approver: {
      type: "string",
      value: "EMAIL",
      says: "who may approve the sample action (default: ada@example.com)",
    },
  },
  run: async (given, { print }) => {
    const file = configFile(given);
    const kept = existsSync(file);
    const { text, config } = kept ? { text: undefined, config: readConfig(given) } : sample(given, file);
    if (existsSync(config.keyFile) && kept)
      throw new OperatorError(
        `${file} is there already, and its key too`,
        "Edit it, or name another with --config FILE.",
      );
    if (!existsSync(config.keyFile) && existsSync(config.store))
      throw new OperatorError(
        `${config.store} is there, and its key is not`,
        `Put the key file back at ${config.keyFile}. A new key cannot open what the old one sealed.`,
      );
    mkdirSync(dirname(config.store), { recursive: true, mode: 0o700 });
    mkdirSync(dirname(config.keyFile), { recursive: true, mode: 0o700 });
    if (!existsSync(config.keyFile)) createOutsideKey(config.keyFile);
    if (text !== undefined) writeFileSync(file, text);
    print(`${kept ? "kept" : "wrote"} ${file}
wrote ${resolve(config.keyFile)} (keep a copy apart from the database: without it nothing sealed can be opened)`);
    if (!kept)
      print(`
Next:
  1. read ${file}; it declares one action, "refund", to play with
  2. countersign agent add refund-agent --name "Refund desk" --type refund
  3. countersign api add refunds-api --api refunds
  4. countersign approver invite ada@example.com --name "Ada"
  5. countersign start`);
  },
};

function sample(given: Arguments, file: string) {
  const text = initialConfig({
    issuer: given.one("issuer") ?? "http://localhost:4400",
    approver: given.one("approver") ?? "ada@example.com",
  });
  const read = parseConfig(text, file);
  if ("problems" in read)
    throw new OperatorError(`that issuer will not do:\n${read.problems.map(problemText).join("\n")}`);
  return { text, config: read.config };
}
