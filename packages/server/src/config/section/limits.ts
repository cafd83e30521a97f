import { defineInteger, defineObject } from "../field.ts";
import { definePolicy } from "../section.ts";

export type LimitPolicy = {
  readonly limits: {
    readonly maxPendingPerAgent: number;
    readonly maxRequestsPerHour: number;
    readonly pollIntervalSeconds: number;
  };
};

export const limitsSection = definePolicy({
  shape: {
    limits: defineObject({
      // An agent with more pending requests is probably in a loop.
      max_pending_per_agent: defineInteger(1, 1000, "a limit of requests").default(20),
      // Default one a minute: with more, approvers stop reading what they approve.
      max_requests_per_hour: defineInteger(1, 100_000, "a limit of requests").default(60),
      // Seconds. 5 is the default interval of CIBA §7.3.
      poll_interval: defineInteger(1, 60, "an interval in seconds").default(5),
    }).prefault({}),
  },
  read({ limits }): LimitPolicy {
    return {
      limits: {
        maxPendingPerAgent: limits.max_pending_per_agent,
        maxRequestsPerHour: limits.max_requests_per_hour,
        pollIntervalSeconds: limits.poll_interval,
      },
    };
  },
  sample:
    () => `# Optional, with the defaults: pending requests and requests per hour of each agent, and seconds between polls.
# limits: { max_pending_per_agent: 20, max_requests_per_hour: 60, poll_interval: 5 }
`,
});
