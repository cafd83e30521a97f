import { getErrorMessage } from "@countersign/protocol";
import { formatProblem, loadConfig } from "../config/config.ts";
import type { Command } from "./cli/command.ts";
import { readConfig, resolveConfigFile } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { resolveControlSocket, sendReload } from "./control-socket.ts";

export const reloadCommand: Command = {
  name: "reload",
  summary:
    "make the running server use the changed policy: actions, groups, APIs, limits, permission, agents",
  run: async (args, { stdout, stderr }) => {
    // Validated here first, so that problems are reported even if no server is running.
    const file = resolveConfigFile(args);
    const loaded = loadConfig(file);
    if ("problems" in loaded)
      throw new OperatorError(
        `${file} cannot be used; the server keeps its policy:\n${loaded.problems.map(formatProblem).join("\n")}`,
      );
    const path = resolveControlSocket(readConfig(args));
    if (path === undefined)
      throw new OperatorError(
        "no control socket is configured",
        "Set control_socket and restart, or send SIGHUP to the server process.",
      );
    const result = await sendReload(path).catch((error: unknown) => {
      throw new OperatorError(
        `no server can be reached at ${path}: ${getErrorMessage(error)}`,
        "Run this on the server's machine, as its user. A server that is not running reads the file when it starts.",
      );
    });
    if (!result.reloaded)
      throw new OperatorError(`not reloaded; the server keeps its policy:\n${result.problems.join("\n")}`);
    stdout(
      result.changed.length === 0
        ? "reloaded: no policy changed"
        : ["reloaded:", ...result.changed.map((member) => `  ${member}`)].join("\n"),
    );
    if (result.needsRestart.length > 0)
      stderr(`changed, but in effect only after a restart: ${result.needsRestart.join(", ")}`);
    return 0;
  },
};
