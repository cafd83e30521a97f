/** How many polls of a request that still waits does the server answer? */
import type { Duel } from "./stage/duel.ts";
import { play, polled } from "./stage/load.ts";
import { asked } from "./stage/party.ts";

export const pendingPoll: Duel = {
  of: "pending poll",
  methods: ["secret", "key"],
  count: 2000,
  measure: async (party, flows) => {
    const bare = party.name.startsWith("bare");
    const tickets = bare ? [] : await asked(party, flows);
    return play(
      party,
      flows.map(({ poll }, at) => polled(poll(tickets[at] ?? ""))),
    );
  },
};
