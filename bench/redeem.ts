/** How many approvals become a JWT access token and an ID token? */
import type { Duel } from "./stage/duel.ts";
import { once, play } from "./stage/load.ts";
import { decided } from "./stage/party.ts";

export const redeem: Duel = {
  of: "redeem",
  methods: ["secret", "key"],
  count: 800,
  measure: (party, flows) => (party.name.startsWith("bare") ? undefined : measure(party, flows)),
};

async function measure(...[party, flows]: Parameters<Duel["measure"]>) {
  const tickets = await decided(party, flows);
  return await play(
    party,
    flows.map(({ redeem }, at) => once(redeem(tickets[at]!), 200)),
  );
}
