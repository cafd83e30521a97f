/** Classifies IP addresses, against SSRF: public unicast, or local, private and otherwise reserved. */
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** The only IPv6 range allocated for global unicast (RFC 4291 §2.4). */
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");
/** The well-known NAT64 prefix: an IPv4 address embedded in IPv6 (RFC 6052 §2.1). */
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/** Returns true for CIDR notation such as `10.1.0.0/16` and `fd00::/8`. */
export function isCidr(text: string): boolean {
  return ipaddr.isValidCIDR(text);
}

/** Returns true if one of these CIDR ranges contains the address. */
export function isInRange(address: string, ranges: readonly string[]): boolean {
  const effective = toEffectiveAddress(address);
  return ranges
    .map(ipaddr.parseCIDR)
    .some((range) => effective?.kind() === range[0].kind() && effective.match(range));
}

/** Returns true for global unicast: not private, loopback, link-local, multicast or reserved. */
export function isPublic(address: string): boolean {
  const effective = toEffectiveAddress(address);
  if (effective?.range() !== "unicast") return false;
  return effective.kind() === "ipv4" || effective.match(globalUnicast);
}

/** Returns the IPv4 address that an IPv6 address embeds (RFC 4291 §2.5.5, RFC 6052), as that is the one reached. */
function toEffectiveAddress(text: string): Address | undefined {
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  const isNat64 = address.kind() === "ipv6" && address.match(nat64);
  return isNat64 ? ipaddr.fromByteArray(address.toByteArray().slice(12)) : address;
}
