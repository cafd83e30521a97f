/** Where the server and its neighbours are: the URLs and domains of the configuration, and how they belong together. */
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

/** The name in checkpoints where none is configured: the issuer without its scheme and port, and what this is. */
export function deriveLogOrigin(issuer: string): string {
  return `${new URL(issuer).hostname}/countersign`;
}

/** An issuer is compared as a string (OpenID Connect Discovery §4.3), so that only one spelling of it is accepted. */
function findIssuerProblem(issuer: string): Pick<SectionProblem, "message" | "remedy"> | undefined {
  const problem = findUrlProblem(issuer, "issuer");
  if (problem) return problem;
  const url = new URL(issuer);
  if (url.protocol === "http:" && !isLoopback(url.hostname))
    return {
      message: "over http, anybody on the way could read tokens and change what is approved",
      remedy: "use https; http is for localhost only",
    };
  return undefined;
}

/** Of a URL at which this server answers. `what` says which one. */
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
    return { message: `the ${label} is not in its one exact spelling`, remedy: `write it as ${exact}` };
  if (url.pathname !== "/")
    return {
      message: `the ${label} has a path, and this server answers at the root of its host`,
      remedy: `give it a host of its own, such as ${url.origin}`,
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

/** WebAuthn, Relying Party Identifier: it is a domain, that of the page or a parent of it. */
function checkRpId(host: string, rpId: string, addProblem: (problem: SectionProblem) => void): void {
  const path = ["passkeys", "rp_id"];
  if (isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    addProblem({
      path: ["issuer"],
      message: "browsers make no passkeys for an IP address",
      remedy: "use a domain name; on this machine, localhost",
    });
  else if (host !== rpId && !host.endsWith(`.${rpId}`))
    addProblem({
      path,
      message: `${rpId} is not the issuer's domain, nor a parent of it`,
      remedy: `write ${host}`,
    });
  else if (!rpId.includes(".") && rpId !== "localhost")
    addProblem({ path, message: `${rpId} is a domain that many owners share`, remedy: `write ${host}` });
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
        message: `the API ${other} has this audience already, and could spend what is meant for ${name}`,
        remedy: "give each API an audience of its own",
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
      message: "this is not the URL of a mail server",
      remedy: "write smtp://host:port, or smtps:// for TLS from the start",
    });
  else if (url.password !== "")
    addProblem({
      path,
      message: "a password stands in a file that is meant to be reviewed",
      remedy: "put it into a file of its own, named by password_file, and change it",
    });
}

/** Whether a `store` is PostgreSQL's, and not a file. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:\/\//.test(store);
}
