/** Measures polls of pending requests per second. */
import { setTimeout } from "node:timers/promises";
import type { Comparison } from "./harness/comparison.ts";
import { polled, runScript } from "./harness/load.ts";
import { asked } from "./harness/target.ts";

const settleMs = 1_200;

export const pendingPoll: Comparison = {
  of: "pending poll",
  methods: ["secret", "key"],
  count: 2000,
  measure: async (party, flows) => {
    const bare = party.name.startsWith("bare");
    const tickets = bare ? [] : await asked(party, flows);
    // Wait for background work of the requests, such as log sequencing, so that it does not count for the polls.
    await setTimeout(bare ? 0 : settleMs);
    return runScript(
      party,
      flows.map(({ poll }, at) => polled(poll(tickets[at] ?? ""))),
    );
  },
};
