import { z } from "zod";
import { isCidr } from "../../domain/url/ip-address.ts";
import type { OutboundPolicy } from "../../domain/url/outbound-url.ts";
import { defineObject, file } from "../field.ts";
import { defineSection } from "../section.ts";

export type OutboundSettings = {
  /** SSRF policy of calls to registered URLs, and additional certificate authorities. */
  readonly outbound: OutboundPolicy & { readonly caFile?: string };
};

export const outboundSection = defineSection({
  shape: {
    outbound: defineObject({
      allow_private: z
        .array(
          z.string().refine(isCidr, {
            error: "this is not a range of addresses\nwrite it as 10.1.0.0/16, or fd00:1::/32",
          }),
        )
        .default([]),
      allow_http: z.boolean("this is neither true nor false\nwrite true, or leave it out").default(false),
      ca_file: file.optional(),
    }).prefault({}),
  },
  read({ outbound: { allow_private, allow_http, ca_file } }, { resolvePath }): OutboundSettings {
    const caFile = ca_file === undefined ? undefined : resolvePath(ca_file);
    return {
      outbound: {
        allowPrivate: allow_private,
        allowHttp: allow_http,
        ...(caFile !== undefined && { caFile }),
      },
    };
  },
  sample:
    () => `# Optional: private address ranges in which agents may have callback and key URLs, and their certificate authority.
# outbound: { allow_private: [10.1.0.0/16], ca_file: ./inside-ca.pem }
`,
});
