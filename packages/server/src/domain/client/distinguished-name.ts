/**
 * Parses distinguished names into a normal form for comparison: from the string form of RFC 4514, most specific RDN first,
 * and from a certificate's subject as `node:crypto` returns it, most specific RDN last. Values are compared exactly, which
 * is stricter than the matching rules of RFC 5280 §7.1.
 */

/** Relative distinguished names (RDNs), most specific first. Each is one string for its set of attributes. */
export type DistinguishedName = readonly string[];

/** Parses RFC 4514. Accepts spaces around separators. Returns undefined if the text is not a distinguished name. */
export function parseDistinguishedName(text: string): DistinguishedName | undefined {
  return parseRdns(splitAt(",", text));
}

/** Parses the subject of a certificate as `node:crypto` returns it: one RDN per line, escaped as in RFC 4514. */
export function parseSubject(subject: string): DistinguishedName | undefined {
  return parseRdns(subject.split("\n").reverse());
}

/** Returns true if both names are valid and equal. */
export function areNamesEqual(
  one: DistinguishedName | undefined,
  other: DistinguishedName | undefined,
): boolean {
  return one !== undefined && other !== undefined && JSON.stringify(one) === JSON.stringify(other);
}

function parseRdns(rdns: readonly string[]): DistinguishedName | undefined {
  const parsed = rdns.map((rdn) => {
    const attributes = splitAt("+", rdn).map(parseAttribute);
    return attributes.includes(undefined) ? undefined : JSON.stringify(attributes.sort());
  });
  return parsed.includes(undefined) ? undefined : (parsed as string[]);
}

/** Splits at each separator that is not escaped with a backslash. */
function splitAt(separator: "," | "+", text: string): string[] {
  const parts = [""];
  for (const [piece] of text.matchAll(/\\[\s\S]|[\s\S]/g))
    if (piece === separator) parts.push("");
    else parts[parts.length - 1] += piece;
  return parts;
}

const attribute = /^ *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *= *((?:\\[\s\S]|[^\\])*)$/;

function parseAttribute(text: string): string | undefined {
  const [, type, encoded] = attribute.exec(text) ?? [];
  if (type === undefined || encoded === undefined) return undefined;
  const value = encoded.startsWith("#") ? parseHex(encoded.trim().slice(1)) : parseText(encoded);
  return value === undefined ? undefined : `${resolveOid(type)}=${value}`;
}

/** Unescapes a value: a backslash escapes a special character, or two hex digits of a UTF-8 byte (RFC 4514 §2.4). */
function parseText(encoded: string): string | undefined {
  const trimmed = /^((?:\\[\s\S]|[^\\])*?) *$/.exec(encoded)?.[1] ?? "";
  const bytes: Uint8Array[] = [];
  for (const [piece, hex, escaped, plain] of trimmed.matchAll(/\\([0-9a-fA-F]{2})|\\([\s\S])|([^\\]+)/g)) {
    if (plain !== undefined && /["<>;]/.test(plain)) return undefined;
    if (escaped !== undefined && !/[ "#+,;<=>\\]/.test(escaped)) return undefined;
    bytes.push(hex === undefined ? Buffer.from(escaped ?? plain ?? piece) : Buffer.from(hex, "hex"));
  }
  return decode(Buffer.concat(bytes));
}

/** BER tags of UTF8String, PrintableString and IA5String. */
const textTags = [0x0c, 0x13, 0x16];

/** Decodes a value in hexadecimal BER, the form after `#` (RFC 4514 §2.4). Strings of at most 127 bytes only. */
function parseHex(hex: string): string | undefined {
  const ber = /^(?:[0-9a-fA-F]{2})+$/.test(hex) ? Buffer.from(hex, "hex") : Buffer.alloc(0);
  const [tag = 0, length = 0] = ber;
  if (!textTags.includes(tag) || length > 127 || ber.length !== length + 2) return undefined;
  return decode(ber.subarray(2));
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Attribute names of RFC 4514 §3, OpenSSL and other tools, by OID. */
const oids: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "2.5.4.3": "cn commonname",
    "2.5.4.4": "sn surname",
    "2.5.4.5": "serialnumber",
    "2.5.4.6": "c countryname",
    "2.5.4.7": "l localityname",
    "2.5.4.8": "st s stateorprovincename",
    "2.5.4.9": "street streetaddress",
    "2.5.4.10": "o organizationname",
    "2.5.4.11": "ou organizationalunitname",
    "2.5.4.12": "title t",
    "2.5.4.13": "description",
    "2.5.4.15": "businesscategory",
    "2.5.4.17": "postalcode",
    "2.5.4.41": "name",
    "2.5.4.42": "gn givenname g",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationqualifier",
    "2.5.4.46": "dnqualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationidentifier",
    "0.9.2342.19200300.100.1.1": "uid userid",
    "0.9.2342.19200300.100.1.25": "dc domaincomponent",
    "1.2.840.113549.1.9.1": "emailaddress e email",
    "1.2.840.113549.1.9.2": "unstructuredname",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionl",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionst",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionc",
  }).flatMap(([oid, names]) => names.split(" ").map((name) => [name, oid] as const)),
);

/** Returns the OID of a known attribute name; otherwise the type in lower case. */
function resolveOid(type: string): string {
  return oids.get(type.toLowerCase()) ?? type.toLowerCase();
}
