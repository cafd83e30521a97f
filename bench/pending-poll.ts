/** Measures polls of pending requests per second. */
import { setTimeout } from "node:timers/promises";
import type { Comparison } from "./harness/comparison.ts";
import { pollOnce, runScript } from "./harness/load.ts";
import { requestAll } from "./harness/target.ts";

const settleMs = 1_200;

export const pendingPoll: Comparison = {
  of: "pending poll",
  methods: ["secret", "key"],
  count: 2000,
  measure: async (target, flows) => {
    const bare = target.name.startsWith("bare");
    const authReqIds = bare ? [] : await requestAll(target, flows);
    // Wait for background work of the requests, such as log sequencing, so that it does not count for the polls.
    await setTimeout(bare ? 0 : settleMs);
    return runScript(
      target,
      flows.map(({ poll }, at) => pollOnce(poll(authReqIds[at] ?? ""))),
    );
  },
};
