/** Measures decisions per second, with the form of a card at level `session`. The peer's decision is an in-process call without a form. */
import type { Comparison } from "./harness/comparison.ts";
import { requestOnce, runScript } from "./harness/load.ts";
import { requestAll } from "./harness/target.ts";

export const decide: Comparison = {
  of: "decide",
  methods: ["secret"],
  count: 800,
  measure: (target, flows) => (target.name.startsWith("bare") ? undefined : measure(target, flows)),
};

async function measure(...[target, flows]: Parameters<Comparison["measure"]>) {
  const authReqIds = await requestAll(target, flows);
  return await runScript(
    target,
    flows.map(({ decide }, at) => requestOnce(decide(authReqIds[at]!), 303)),
  );
}
