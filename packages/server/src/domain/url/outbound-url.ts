/**
 * Validates URLs that clients register and this server calls, against SSRF: notification endpoints (CIBA §4) and
 * `jwks_uri`. Checked at registration and again before each call; `outbound/` also checks the resolved addresses.
 */
import { isIP } from "node:net";
import { isInRange, isPublic } from "./ip-address.ts";

/** What is allowed besides https to public addresses. */
export type OutboundPolicy = {
  /** Ranges of private addresses that are allowed: `10.1.0.0/16`. */
  readonly allowPrivate: readonly string[];
  /** Allows http, to those ranges only. */
  readonly allowHttp: boolean;
};

export type OutboundUrlRefusal = "not_a_url" | "not_https" | "credentials" | "fragment" | "private_address";
export type OutboundUrlRefused = { readonly refused: OutboundUrlRefusal; readonly why: string };

const reasons: Readonly<Record<OutboundUrlRefusal, string>> = {
  not_a_url: "it is not an absolute URL of at most 2000 visible ASCII characters",
  not_https: "it does not begin with https://",
  credentials: "it contains a user name or a password",
  fragment: "it has a fragment",
  private_address: "its address is not public",
};

/**
 * Checks the URL without resolving its host. `why` fits after "the URL cannot be used: " and into an `error_description`.
 */
export function checkOutboundUrl(text: string, policy: OutboundPolicy): URL | OutboundUrlRefused {
  if (!/^[\x21-\x7e]{1,2000}$/.test(text) || !URL.canParse(text)) return refuse("not_a_url");
  const url = new URL(text);
  const isHttps = url.protocol === "https:";
  if (!isHttps && !(url.protocol === "http:" && policy.allowHttp)) return refuse("not_https");
  if (url.username !== "" || url.password !== "") return refuse("credentials");
  // `url.hash` is empty also for an empty fragment.
  if (text.includes("#")) return refuse("fragment");
  const host = readHost(url);
  return isIP(host) !== 0 && !isAddressAllowed(host, url, policy) ? refuse("private_address") : url;
}

/** Returns the host, an IPv6 address without brackets. `URL` normalizes other spellings of an address (`0x7f.1`). */
export function readHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** Returns true if this address, which the URL's host resolves to, may be called. */
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
