/** Measures decisions per second, with the form of a card at level `session`. The peer's decision is an in-process call without a form. */
import type { Comparison } from "./harness/comparison.ts";
import { once, runScript } from "./harness/load.ts";
import { asked } from "./harness/target.ts";

export const decide: Comparison = {
  of: "decide",
  methods: ["secret"],
  count: 800,
  measure: (party, flows) => (party.name.startsWith("bare") ? undefined : measure(party, flows)),
};

async function measure(...[party, flows]: Parameters<Comparison["measure"]>) {
  const tickets = await asked(party, flows);
  return await runScript(
    party,
    flows.map(({ decide }, at) => once(decide(tickets[at]!), 303)),
  );
}
