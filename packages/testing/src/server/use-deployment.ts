/** One deployment with enrolled approvers for all tests of a file. */
import assert from "node:assert/strict";
import { type Deployment, type DeployOptions, deploy } from "./deployment.ts";
import type { Person } from "./person.ts";
import { useResource } from "./use-resource.ts";

export type UseDeploymentOptions<Name extends string> = DeployOptions & {
  /** Local parts of the addresses at example.com that are enrolled. Default: `ada`. */
  readonly approvers?: readonly Name[];
  /** Whether a test causes faults on purpose. Default: faults fail the file after its tests. */
  readonly allowFaults?: boolean;
};

/**
 * Starts a deployment before the tests and closes it after them. The result is the running deployment with its approvers:
 * `deployment.ada.decide(…)`. Options that are only known at run time are returned by a function.
 */
export function useDeployment<Name extends string = "ada">(
  options: UseDeploymentOptions<Name> | (() => Promise<UseDeploymentOptions<Name>>) = {},
): Deployment & Readonly<Record<Name, Person>> {
  let allowFaults = false;
  return useResource(
    async () => {
      const resolved = typeof options === "function" ? await options() : options;
      allowFaults = resolved.allowFaults ?? false;
      const deployment = await deploy(resolved);
      const people: Partial<Record<Name, Person>> = {};
      for (const name of resolved.approvers ?? (["ada"] as Name[]))
        people[name] = await deployment.enrol(`${name}@example.com`);
      // Not a spread: `server` is a getter that follows restarts.
      return Object.assign(deployment, people as Record<Name, Person>);
    },
    async (deployment) => {
      await deployment.close();
      if (!allowFaults) assert.deepEqual(deployment.faults, []);
    },
  );
}
