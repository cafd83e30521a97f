/** How many asks does the server take in, each of them durable before it is answered? */
import type { Duel } from "./stage/duel.ts";
import { once, play } from "./stage/load.ts";

export const ask: Duel = {
  of: "ask",
  methods: ["secret", "key"],
  count: 1000,
  measure: (party, flows) =>
    party.name.startsWith("bare")
      ? undefined
      : play(
          party,
          flows.map(({ ask }) => once(ask, 200)),
        ),
};
