import { loadConfig, problemText } from "../config/config.ts";
import type { Command } from "./command.ts";
import { configFile } from "./deployment.ts";

export const checkCommand: Command = {
  name: "check",
  says: "say what is wrong with the configuration, with file, line and remedy",
  run: async (given, { print, complain }) => {
    const file = configFile(given);
    const read = loadConfig(file);
    if ("problems" in read) {
      for (const problem of read.problems) complain(problemText(problem));
      complain(`${read.problems.length} problem${read.problems.length === 1 ? "" : "s"}`);
      return 1;
    }
    const types = [...read.config.actions.values()].map(
      ({ definition, hash }) => `  ${definition.type.padEnd(24)} ${hash}`,
    );
    print([`${file} is sound`, `issuer ${read.config.issuer}`, "action types:", ...types].join("\n"));
    return 0;
  },
};
