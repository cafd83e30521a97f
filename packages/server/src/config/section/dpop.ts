import { z } from "zod";
import { defineObject } from "../field.ts";
import { defineSection } from "../section.ts";

export type DpopSettings = {
  /** True if DPoP proofs need a server nonce (RFC 9449 §8). */
  readonly dpop: { readonly requireNonce: boolean };
};

export const dpopSection = defineSection({
  shape: {
    dpop: defineObject({
      // Default false: a client without a nonce needs a second token request, which may cost it one poll interval.
      require_nonce: z.boolean().default(false),
    }).prefault({}),
  },
  read({ dpop }): DpopSettings {
    return { dpop: { requireNonce: dpop.require_nonce } };
  },
  sample:
    () => `# Optional: whether agents' DPoP proofs need a nonce of the server. It costs some clients one poll.
# dpop: { require_nonce: false }
`,
});
