/** How many tokens does the server let an API reserve? The peer has no such thing. */
import type { Duel } from "./stage/duel.ts";
import { once, play } from "./stage/load.ts";
import { redeemed } from "./stage/party.ts";

export const spend: Duel = {
  of: "spend (reserve)",
  methods: ["secret"],
  count: 800,
  measure: (party, flows) => (flows[0]?.reserve ? measure(party, flows) : undefined),
};

async function measure(...[party, flows]: Parameters<Duel["measure"]>) {
  const tokens = await redeemed(party, flows);
  return await play(
    party,
    flows.map(({ reserve }, at) => once(reserve!(tokens[at]!), 200)),
  );
}
