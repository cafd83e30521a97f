/** How many decisions, by the form of a card at level `session`? The peer's is a call within its process, no form. */
import type { Duel } from "./stage/duel.ts";
import { once, play } from "./stage/load.ts";
import { asked } from "./stage/party.ts";

export const decide: Duel = {
  of: "decide",
  methods: ["secret"],
  count: 800,
  measure: (party, flows) => (party.name.startsWith("bare") ? undefined : measure(party, flows)),
};

async function measure(...[party, flows]: Parameters<Duel["measure"]>) {
  const tickets = await asked(party, flows);
  return await play(
    party,
    flows.map(({ decide }, at) => once(decide(tickets[at]!), 303)),
  );
}
