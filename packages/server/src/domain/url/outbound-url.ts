/**
 * The URL of somebody else's that this server will call: a callback (CIBA §4), a client's keys. Checked when it is
 * registered, and again each time something is sent there (`outbound/`), where its name is also resolved.
 */
import { isIP } from "node:net";
import { isInRange, isPublic } from "./ip-address.ts";

/** How far calls may reach beyond https to public addresses. */
export type OutboundPolicy = {
  /** Ranges of addresses that are not public and allowed all the same: `10.1.0.0/16`. */
  readonly allowPrivate: readonly string[];
  /** Whether http is good enough for those ranges. It never is for others. */
  readonly allowHttp: boolean;
};

export type OutboundUrlRefusal = "not_a_url" | "not_https" | "credentials" | "fragment" | "private_address";
export type OutboundUrlRefused = { readonly refused: OutboundUrlRefusal; readonly why: string };

const reasons: Readonly<Record<OutboundUrlRefusal, string>> = {
  not_a_url: "it is not an absolute URL of at most 2000 visible ASCII characters",
  not_https: "it does not begin with https://",
  credentials: "it holds a name or a password",
  fragment: "it has a fragment",
  private_address: "it leads to an address that is not public",
};

/** What the URL alone tells. `why` fits after "the URL cannot be used: ", and into an `error_description`. */
export function checkOutboundUrl(text: string, policy: OutboundPolicy): URL | OutboundUrlRefused {
  if (!/^[\x21-\x7e]{1,2000}$/.test(text) || !URL.canParse(text)) return refuse("not_a_url");
  const url = new URL(text);
  const isHttps = url.protocol === "https:";
  if (!isHttps && !(url.protocol === "http:" && policy.allowHttp)) return refuse("not_https");
  if (url.username !== "" || url.password !== "") return refuse("credentials");
  // An empty fragment leaves nothing in `url.hash`.
  if (text.includes("#")) return refuse("fragment");
  const host = readHost(url);
  return isIP(host) !== 0 && !isAddressAllowed(host, url, policy) ? refuse("private_address") : url;
}

/** The host, an IPv6 address without its brackets. Other spellings of an address (`0x7f.1`) are resolved by `URL`. */
export function readHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** Whether the address that the URL's host stands for may be called. */
export function isAddressAllowed(
  address: string,
  { protocol }: URL,
  { allowPrivate }: OutboundPolicy,
): boolean {
  return (protocol === "https:" && isPublic(address)) || isInRange(address, allowPrivate);
}

function refuse(refused: OutboundUrlRefusal): OutboundUrlRefused {
  return { refused, why: reasons[refused] };
}
