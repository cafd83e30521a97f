/** Measures token reservations per second. The peer has no equivalent. */
import type { Comparison } from "./harness/comparison.ts";
import { requestOnce, runScript } from "./harness/load.ts";
import { redeemAll } from "./harness/target.ts";

export const spend: Comparison = {
  of: "spend (reserve)",
  methods: ["secret"],
  count: 800,
  measure: (target, flows) => (flows[0]?.reserve ? measure(target, flows) : undefined),
};

async function measure(...[target, flows]: Parameters<Comparison["measure"]>) {
  const tokens = await redeemAll(target, flows);
  return await runScript(
    target,
    flows.map(({ reserve }, at) => requestOnce(reserve!(tokens[at]!), 200)),
  );
}
