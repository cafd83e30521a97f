/** Where the server and its neighbours are: the URLs and domains of the configuration, and how they belong together. */
import { isIP } from "node:net";
import type { Finding } from "./schema.ts";

type Addresses = {
  readonly issuer: string;
  readonly passkeys: { readonly rp_id: string };
  readonly apis: { readonly [name: string]: { readonly audience: string } };
  readonly channels: { readonly mail?: { readonly smtp: string } | undefined };
};

export function checkAddresses(
  { issuer, passkeys, apis, channels }: Addresses,
  say: (finding: Finding) => void,
): void {
  const fault = issuerFault(issuer);
  if (fault) say({ path: ["issuer"], ...fault });
  else checkRpId(new URL(issuer).hostname, passkeys.rp_id, say);
  checkAudiences(apis, say);
  if (channels.mail) checkSmtp(channels.mail.smtp, say);
}

/** The name in checkpoints where none is configured: the issuer without its scheme and port, and what this is. */
export function defaultOrigin(issuer: string): string {
  return `${new URL(issuer).hostname}/countersign`;
}

/** An issuer is compared as a string (OpenID Connect Discovery §4.3), so that only one spelling of it is accepted. */
function issuerFault(issuer: string): Pick<Finding, "message" | "remedy"> | undefined {
  const fault = exactUrlFault(issuer, "issuer");
  if (fault) return fault;
  const url = new URL(issuer);
  if (url.protocol === "http:" && !isLoopback(url.hostname))
    return {
      message: "over http, anybody on the way could read tokens and change what is approved",
      remedy: "use https; http is for localhost only",
    };
  return undefined;
}

/** Of a URL at which this server answers. `what` says which one. */
export function exactUrlFault(text: string, what: string): Pick<Finding, "message" | "remedy"> | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    return {
      message: `the ${what} is not a URL`,
      remedy: "write the URL that clients use, such as https://countersign.example",
    };
  if (/[?#]/.test(text) || url.username !== "" || url.password !== "")
    return { message: `the ${what} has a query, a fragment or credentials`, remedy: "remove them" };
  const exact = url.href.replace(/\/$/, "");
  if (text !== exact)
    return { message: `the ${what} is not in its one exact spelling`, remedy: `write it as ${exact}` };
  if (url.pathname !== "/")
    return {
      message: `the ${what} has a path, and this server answers at the root of its host`,
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
function checkRpId(host: string, rpId: string, say: (finding: Finding) => void): void {
  const path = ["passkeys", "rp_id"];
  if (isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    say({
      path: ["issuer"],
      message: "browsers make no passkeys for an IP address",
      remedy: "use a domain name; on this machine, localhost",
    });
  else if (host !== rpId && !host.endsWith(`.${rpId}`))
    say({ path, message: `${rpId} is not the issuer's domain, nor a parent of it`, remedy: `write ${host}` });
  else if (!rpId.includes(".") && rpId !== "localhost")
    say({ path, message: `${rpId} is a domain that many owners share`, remedy: `write ${host}` });
}

function checkAudiences(apis: Addresses["apis"], say: (finding: Finding) => void): void {
  const seen = new Map<string, string>();
  for (const [name, { audience }] of Object.entries(apis)) {
    const path = ["apis", name, "audience"];
    if (!URL.canParse(audience) || audience.includes("#") || !/^[\x21-\x7E]+$/.test(audience))
      say({
        path,
        message: "the audience is not an absolute URI without a fragment (RFC 8707 §2)",
        remedy: "write the URL of the API, such as https://refunds.example",
      });
    const other = seen.get(audience);
    if (other !== undefined)
      say({
        path,
        message: `the API ${other} has this audience already, and could spend what is meant for ${name}`,
        remedy: "give each API an audience of its own",
      });
    seen.set(audience, name);
  }
}

function checkSmtp(smtp: string, say: (finding: Finding) => void): void {
  const path = ["channels", "mail", "smtp"];
  const url = URL.canParse(smtp) ? new URL(smtp) : undefined;
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "")
    say({
      path,
      message: "this is not the URL of a mail server",
      remedy: "write smtp://host:port, or smtps:// for TLS from the start",
    });
  else if (url.password !== "")
    say({
      path,
      message: "a password stands in a file that is meant to be reviewed",
      remedy: "put it into a file of its own, named by password_file, and change it",
    });
}

/** Whether a `store` is PostgreSQL's, and not a file. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:\/\//.test(store);
}
