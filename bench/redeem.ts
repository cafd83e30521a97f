/** Measures redemptions per second, with JWT access token and ID token. */
import type { Comparison } from "./harness/comparison.ts";
import { once, runScript } from "./harness/load.ts";
import { decided } from "./harness/target.ts";

export const redeem: Comparison = {
  of: "redeem",
  methods: ["secret", "key"],
  count: 800,
  measure: (party, flows) => (party.name.startsWith("bare") ? undefined : measure(party, flows)),
};

async function measure(...[party, flows]: Parameters<Comparison["measure"]>) {
  const tickets = await decided(party, flows);
  return await runScript(
    party,
    flows.map(({ redeem }, at) => once(redeem(tickets[at]!), 200)),
  );
}
