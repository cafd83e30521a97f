/** Measures authentication requests per second; each is durable before its response. */
import type { Comparison } from "./harness/comparison.ts";
import { requestOnce, runScript } from "./harness/load.ts";

export const ask: Comparison = {
  of: "ask",
  methods: ["secret", "key"],
  count: 1000,
  measure: (target, flows) =>
    target.name.startsWith("bare")
      ? undefined
      : runScript(
          target,
          flows.map(({ ask }) => requestOnce(ask, 200)),
        ),
};
