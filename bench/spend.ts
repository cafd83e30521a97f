/** Measures token reservations per second. The peer has no equivalent. */
import type { Comparison } from "./harness/comparison.ts";
import { once, runScript } from "./harness/load.ts";
import { redeemed } from "./harness/target.ts";

export const spend: Comparison = {
  of: "spend (reserve)",
  methods: ["secret"],
  count: 800,
  measure: (party, flows) => (flows[0]?.reserve ? measure(party, flows) : undefined),
};

async function measure(...[party, flows]: Parameters<Comparison["measure"]>) {
  const tokens = await redeemed(party, flows);
  return await runScript(
    party,
    flows.map(({ reserve }, at) => once(reserve!(tokens[at]!), 200)),
  );
}
