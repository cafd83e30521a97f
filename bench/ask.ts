/** Measures authentication requests per second; each is durable before its response. */
import type { Comparison } from "./harness/comparison.ts";
import { once, runScript } from "./harness/load.ts";

export const ask: Comparison = {
  of: "ask",
  methods: ["secret", "key"],
  count: 1000,
  measure: (party, flows) =>
    party.name.startsWith("bare")
      ? undefined
      : runScript(
          party,
          flows.map(({ ask }) => once(ask, 200)),
        ),
};
