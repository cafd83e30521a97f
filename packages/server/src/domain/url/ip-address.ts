/** Which addresses belong to somebody out there, and which lead back inside: this machine, its network, its cloud. */
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What of IPv6 has been given out for use on the internet (RFC 4291 §2.4). */
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");
/** Where IPv4 addresses are reached from networks that have none (RFC 6052 §2.1). */
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/** Whether the text is a range of addresses, as in `10.1.0.0/16` and `fd00::/8`. */
export function isCidr(text: string): boolean {
  return ipaddr.isValidCIDR(text);
}

export function isInRange(address: string, ranges: readonly string[]): boolean {
  const effective = toEffectiveAddress(address);
  return ranges
    .map(ipaddr.parseCIDR)
    .some((range) => effective?.kind() === range[0].kind() && effective.match(range));
}

/** Not private, not loopback, not link-local, not reserved for anything: unicast on the internet. */
export function isPublic(address: string): boolean {
  const effective = toEffectiveAddress(address);
  if (effective?.range() !== "unicast") return false;
  return effective.kind() === "ipv4" || effective.match(globalUnicast);
}

/** An IPv4 address inside an IPv6 one (RFC 4291 §2.5.5, RFC 6052) is the one that is reached. */
function toEffectiveAddress(text: string): Address | undefined {
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  const isNat64 = address.kind() === "ipv6" && address.match(nat64);
  return isNat64 ? ipaddr.fromByteArray(address.toByteArray().slice(12)) : address;
}
