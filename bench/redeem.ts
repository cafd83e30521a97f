/** Measures redemptions per second, with JWT access token and ID token. */
import type { Comparison } from "./harness/comparison.ts";
import { requestOnce, runScript } from "./harness/load.ts";
import { decideAll } from "./harness/target.ts";

export const redeem: Comparison = {
  of: "redeem",
  methods: ["secret", "key"],
  count: 800,
  measure: (target, flows) => (target.name.startsWith("bare") ? undefined : measure(target, flows)),
};

async function measure(...[target, flows]: Parameters<Comparison["measure"]>) {
  const authReqIds = await decideAll(target, flows);
  return await runScript(
    target,
    flows.map(({ redeem }, at) => requestOnce(redeem(authReqIds[at]!), 200)),
  );
}
