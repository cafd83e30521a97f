import { loadConfig, problemText } from "../config/config.ts";
import { tlsProblems } from "../http/tls.ts";
import type { Command } from "./command.ts";
import { configFile } from "./deployment.ts";

export const checkCommand: Command = {
  name: "check",
  says: "say what is wrong with the configuration, with file, line and remedy",
  run: async (given, { print, complain }) => {
    const file = configFile(given);
    const read = loadConfig(file);
    const problems =
      "problems" in read
        ? read.problems.map(problemText)
        : tlsProblems(read.config).map(({ refused, remedy }) => `${refused}\n  ${remedy}`);
    if ("problems" in read || problems.length > 0) {
      for (const problem of problems) complain(problem);
      complain(`${problems.length} problem${problems.length === 1 ? "" : "s"}`);
      return 1;
    }
    const types = [...read.config.actions.values()].map(
      ({ definition, hash }) => `  ${definition.type.padEnd(24)} ${hash}`,
    );
    print([`${file} is sound`, `issuer ${read.config.issuer}`, "action types:", ...types].join("\n"));
    return 0;
  },
};
