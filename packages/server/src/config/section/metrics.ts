import { defineObject, host, port } from "../field.ts";
import { defineSection } from "../section.ts";

export type MetricsSettings = {
  /** The metrics listener (Prometheus). Undefined: off. */
  readonly metrics?: { readonly host: string; readonly port: number };
};

export const metricsSection = defineSection({
  // A separate listener, by default on loopback only.
  shape: { metrics: defineObject({ host, port }).optional() },
  read({ metrics }): MetricsSettings {
    return metrics ? { metrics: { ...metrics } } : {};
  },
  sample: () => `# Optional: serve /metrics to Prometheus, on this machine.
# metrics: { port: 9400 }
`,
});
