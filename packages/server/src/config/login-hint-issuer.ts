/** Trusted issuers of `login_hint_token` (CIBA §7.1), and the location of their keys. */
import { resolve } from "node:path";
import { checkOutboundUrl, type OutboundPolicy } from "../domain/url/outbound-url.ts";
import type { SectionProblem } from "./schema.ts";

export type LoginHintIssuers = ReadonlyMap<string, LoginHintKeys>;
export type LoginHintKeys =
  /** A JWK Set, read when the server starts: an absolute path. */
  { readonly jwksFile: string } | { readonly jwksUri: string };

type LoginHintIssuersSection = {
  readonly [issuer: string]: {
    readonly jwks_file?: string | undefined;
    readonly jwks_uri?: string | undefined;
  };
};

export function checkLoginHintIssuers(
  section: LoginHintIssuersSection,
  policy: OutboundPolicy,
  addProblem: (problem: SectionProblem) => void,
): void {
  for (const [issuer, { jwks_file: file, jwks_uri: uri }] of Object.entries(section)) {
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
    const checked = uri === undefined ? undefined : checkOutboundUrl(uri, policy);
    if (checked && "refused" in checked)
      addProblem({
        path: [...path, "jwks_uri"],
        message: `the URL cannot be used: ${checked.why}`,
        remedy: "write an https URL; one inside needs its range in outbound.allow_private",
      });
  }
}

/** Converts the section. `from` is the base directory of relative paths. */
export function readLoginHintIssuers(
  section: LoginHintIssuersSection,
  baseDir: string,
): readonly (readonly [string, LoginHintKeys])[] {
  return Object.entries(section).map(([issuer, { jwks_file: file, jwks_uri: uri = "" }]) => [
    issuer,
    file === undefined ? { jwksUri: uri } : { jwksFile: resolve(baseDir, file) },
  ]);
}
