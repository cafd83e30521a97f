import { type Config, formatProblem, loadConfig } from "../../config/config.ts";
import { findTlsProblems } from "../../http/transport/tls.ts";
import { formatIdConflict, planReconciliation } from "../../usecase/client/reconcile-agents.ts";
import type { Arguments, Command } from "../cli/command.ts";
import { resolveConfigFile, withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";

export const checkCommand: Command = {
  name: "check",
  summary: "validate the configuration; reports every problem with file, line and remedy",
  run: async (args, { stdout, stderr }) => {
    const file = resolveConfigFile(args);
    const result = loadConfig(file);
    const problems =
      "problems" in result
        ? result.problems.map(formatProblem)
        : findTlsProblems(result.config).map(({ refused, remedy }) => `${refused}\n  ${remedy}`);
    if ("problems" in result || problems.length > 0) {
      for (const problem of problems) stderr(problem);
      stderr(`${problems.length} problem${problems.length === 1 ? "" : "s"}`);
      return 1;
    }
    const types = [...result.config.actions.values()].map(
      ({ definition, hash }) => `  ${definition.type.padEnd(24)} ${hash}`,
    );
    const agents = await formatAgentChanges(args, result.config);
    const lines = [...types, ...formatPermission(result.config), ...agents];
    stdout([`${file} is valid`, `issuer ${result.config.issuer}`, "action types:", ...lines].join("\n"));
    return 0;
  },
};

/** Formats the permission checks beside the policies of the action types. */
function formatPermission({ permission: { relations, backend } }: Config): readonly string[] {
  const relationLines = (["agents", "approvers"] as const).flatMap((side) => {
    const lines = relations?.[side];
    return lines === undefined ? [] : [`  ${`relations of ${side}`.padEnd(24)} ${lines.length}`];
  });
  const backendLines = backend ? [`  ${backend.kind.padEnd(24)} ${backend.url}`] : [];
  return relationLines.length + backendLines.length > 0
    ? ["permission check:", ...relationLines, ...backendLines]
    : [];
}

/** Formats how a start or reload would change the declared agents. Empty if none is or was declared. */
async function formatAgentChanges(args: Arguments, { agents }: Config): Promise<readonly string[]> {
  const plan = await withStore(args, planReconciliation).catch((error: unknown) => {
    // The file can be valid before the store exists, and on a machine that cannot reach it.
    if (error instanceof OperatorError) return undefined;
    throw error;
  });
  if (!plan) return agents.size > 0 ? [`agents: ${agents.size}`] : [];
  if (plan.conflicts.length > 0) throw new OperatorError(plan.conflicts.map(formatIdConflict).join("\n"));
  const changes: readonly (readonly [string, readonly string[]])[] = [
    ["added", plan.added],
    ["changed", plan.changed],
    ["removed", plan.removed],
  ];
  const lines = changes.flatMap(([what, ids]) =>
    ids.map((id) => `  ${id.padEnd(24)} ${what} at the next start or reload`),
  );
  return agents.size + lines.length > 0 ? [`agents: ${agents.size}`, ...lines] : [];
}
