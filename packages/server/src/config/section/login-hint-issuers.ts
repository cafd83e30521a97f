/** Trusted issuers of `login_hint_token` (CIBA §7.1), and the location of their keys. */
import { z } from "zod";
import { checkOutboundUrl } from "../../domain/url/outbound-url.ts";
import { defineObject, file } from "../field.ts";
import { freezeMap } from "../freeze.ts";
import { defineSection } from "../section.ts";
import { outboundSection } from "./outbound.ts";

export type LoginHintIssuers = ReadonlyMap<string, LoginHintKeys>;
export type LoginHintKeys =
  /** A JWK Set, read when the server starts: an absolute path. */
  { readonly jwksFile: string } | { readonly jwksUri: string };

export const loginHintIssuersSection = defineSection({
  shape: {
    login_hint_issuers: z
      .record(z.string(), defineObject({ jwks_file: file.optional(), jwks_uri: z.string().optional() }))
      .default({}),
  },
  read(
    { login_hint_issuers: issuers },
    { use, addProblem, resolvePath },
  ): { /** By `iss`. */ readonly loginHintIssuers: LoginHintIssuers } {
    const policy = use(outboundSection)?.settings.outbound;
    for (const [issuer, { jwks_file: file, jwks_uri: uri }] of Object.entries(issuers)) {
      const path = ["login_hint_issuers", issuer];
      if (!URL.canParse(issuer))
        addProblem({
          path,
          message: "the issuer is not a URL",
          remedy: "write it exactly as iss in its tokens",
        });
      if ((file === undefined) === (uri === undefined))
        addProblem({
          path,
          message: "exactly one of jwks_file and jwks_uri is required",
          remedy: "write one of the two",
        });
      const checked = uri === undefined || !policy ? undefined : checkOutboundUrl(uri, policy);
      if (checked && "refused" in checked)
        addProblem({
          path: [...path, "jwks_uri"],
          message: `the URL cannot be used: ${checked.why}`,
          remedy: "write an https URL; one inside needs its range in outbound.allow_private",
        });
    }
    return {
      loginHintIssuers: freezeMap(
        Object.entries(issuers).map(([issuer, { jwks_file: file, jwks_uri: uri = "" }]) => [
          issuer,
          file === undefined ? { jwksUri: uri } : { jwksFile: resolvePath(file) },
        ]),
      ),
    };
  },
  sample:
    () => `# Optional: issuers of signed login_hint_tokens, which name the approver to ask. The file holds their public keys.
# login_hint_issuers:
#   https://hr.example: { jwks_file: ./hr-keys.json }
`,
});
