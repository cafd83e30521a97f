/** Checks the URLs and domains of the configuration, and their consistency. */
import { isIP } from "node:net";
import type { SectionProblem } from "./schema.ts";

type UrlSections = {
  readonly issuer: string;
  readonly passkeys: { readonly rp_id: string };
  readonly apis: { readonly [name: string]: { readonly audience: string } };
  readonly channels: { readonly mail?: { readonly smtp: string } | undefined };
};

export function checkUrls(
  { issuer, passkeys, apis, channels }: UrlSections,
  addProblem: (problem: SectionProblem) => void,
): void {
  const problem = findIssuerProblem(issuer);
  if (problem) addProblem({ path: ["issuer"], ...problem });
  else checkRpId(new URL(issuer).hostname, passkeys.rp_id, addProblem);
  checkAudiences(apis, addProblem);
  if (channels.mail) checkSmtp(channels.mail.smtp, addProblem);
}

/** Returns the default checkpoint origin: the issuer's host name followed by `/countersign`. */
export function deriveLogOrigin(issuer: string): string {
  return `${new URL(issuer).hostname}/countersign`;
}

/** Checks the issuer. Issuers are compared as strings (OpenID Connect Discovery §4.3), so one spelling is accepted. */
function findIssuerProblem(issuer: string): Pick<SectionProblem, "message" | "remedy"> | undefined {
  const problem = findUrlProblem(issuer, "issuer");
  if (problem) return problem;
  const url = new URL(issuer);
  if (url.protocol === "http:" && !isLoopback(url.hostname))
    return {
      message: "http is not secure: tokens could be read and requests changed in transit",
      remedy: "use https; http is for localhost only",
    };
  return undefined;
}

/** Checks a URL that this server is reached at. `label` names it in problems. */
export function findUrlProblem(
  text: string,
  label: string,
): Pick<SectionProblem, "message" | "remedy"> | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    return {
      message: `the ${label} is not a URL`,
      remedy: "write the URL that clients use, such as https://countersign.example",
    };
  if (/[?#]/.test(text) || url.username !== "" || url.password !== "")
    return { message: `the ${label} has a query, a fragment or credentials`, remedy: "remove them" };
  const exact = url.href.replace(/\/$/, "");
  if (text !== exact)
    return { message: `the ${label} is not in canonical form`, remedy: `write it as ${exact}` };
  if (url.pathname !== "/")
    return {
      message: `the ${label} has a path, but this server must be at the root of its host`,
      remedy: `use a separate host, such as ${url.origin}`,
    };
  return undefined;
}

export function isLoopback(host: string): boolean {
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(host)
  );
}

/** Checks the WebAuthn relying party id: the issuer's domain or a parent of it. */
function checkRpId(host: string, rpId: string, addProblem: (problem: SectionProblem) => void): void {
  const path = ["passkeys", "rp_id"];
  if (isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    addProblem({
      path: ["issuer"],
      message: "browsers do not support passkeys for IP addresses",
      remedy: "use a domain name; on this machine, localhost",
    });
  else if (host !== rpId && !host.endsWith(`.${rpId}`))
    addProblem({
      path,
      message: `${rpId} is not the issuer's domain, nor a parent of it`,
      remedy: `write ${host}`,
    });
  else if (!rpId.includes(".") && rpId !== "localhost")
    addProblem({ path, message: `${rpId} is a top-level domain`, remedy: `write ${host}` });
}

function checkAudiences(apis: UrlSections["apis"], addProblem: (problem: SectionProblem) => void): void {
  const seen = new Map<string, string>();
  for (const [name, { audience }] of Object.entries(apis)) {
    const path = ["apis", name, "audience"];
    if (!URL.canParse(audience) || audience.includes("#") || !/^[\x21-\x7E]+$/.test(audience))
      addProblem({
        path,
        message: "the audience is not an absolute URI without a fragment (RFC 8707 §2)",
        remedy: "write the URL of the API, such as https://refunds.example",
      });
    const other = seen.get(audience);
    if (other !== undefined)
      addProblem({
        path,
        message: `the API ${other} has the same audience, so it could spend tokens for ${name}`,
        remedy: "give each API a different audience",
      });
    seen.set(audience, name);
  }
}

function checkSmtp(smtp: string, addProblem: (problem: SectionProblem) => void): void {
  const path = ["channels", "mail", "smtp"];
  const url = URL.canParse(smtp) ? new URL(smtp) : undefined;
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "")
    addProblem({
      path,
      message: "invalid mail server URL",
      remedy: "write smtp://host:port, or smtps:// for TLS from the start",
    });
  else if (url.password !== "")
    addProblem({
      path,
      message: "the URL contains a password, which must not be in this file",
      remedy: "write it to a separate file, set password_file, and change the password",
    });
}

/** Returns true if `store` is a PostgreSQL URL, false if it is a file. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:\/\//.test(store);
}
