/**
 * Distinguished names in writing: as RFC 4514 writes them, with the innermost attribute first, and as a certificate's
 * subject is read out, line by line from the outermost. Both are brought into one form that can be compared. Values are
 * compared exactly, which is stricter than RFC 5280 §7.1: a name that only looks alike is another name.
 */

/** Outermost last; each step is one text for its set of attributes. */
export type DistinguishedName = readonly string[];

/** Undefined for what is no distinguished name. Spaces around separators are allowed, as many tools write them. */
export function parseDistinguishedName(text: string): DistinguishedName | undefined {
  return parseSteps(splitAt(",", text));
}

/** The subject of a certificate as `node:crypto` has it: one step on each line, escaped as in RFC 4514. */
export function parseSubject(subject: string): DistinguishedName | undefined {
  return parseSteps(subject.split("\n").reverse());
}

export function areNamesEqual(
  one: DistinguishedName | undefined,
  other: DistinguishedName | undefined,
): boolean {
  return one !== undefined && other !== undefined && JSON.stringify(one) === JSON.stringify(other);
}

function parseSteps(steps: readonly string[]): DistinguishedName | undefined {
  const parsed = steps.map((step) => {
    const attributes = splitAt("+", step).map(parseAttribute);
    return attributes.includes(undefined) ? undefined : JSON.stringify(attributes.sort());
  });
  return parsed.includes(undefined) ? undefined : (parsed as string[]);
}

/** At each separator that no backslash goes before. */
function splitAt(separator: "," | "+", text: string): string[] {
  const parts = [""];
  for (const [piece] of text.matchAll(/\\[\s\S]|[\s\S]/g))
    if (piece === separator) parts.push("");
    else parts[parts.length - 1] += piece;
  return parts;
}

const attribute = /^ *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *= *((?:\\[\s\S]|[^\\])*)$/;

function parseAttribute(text: string): string | undefined {
  const [, type, written] = attribute.exec(text) ?? [];
  if (type === undefined || written === undefined) return undefined;
  const value = written.startsWith("#") ? parseHex(written.trim().slice(1)) : parseText(written);
  return value === undefined ? undefined : `${resolveOid(type)}=${value}`;
}

/** RFC 4514 §2.4: a backslash goes before a special character, or before two digits for one byte of UTF-8. */
function parseText(written: string): string | undefined {
  const trimmed = /^((?:\\[\s\S]|[^\\])*?) *$/.exec(written)?.[1] ?? "";
  const bytes: Uint8Array[] = [];
  for (const [piece, hex, escaped, plain] of trimmed.matchAll(/\\([0-9a-fA-F]{2})|\\([\s\S])|([^\\]+)/g)) {
    if (plain !== undefined && /["<>;]/.test(plain)) return undefined;
    if (escaped !== undefined && !/[ "#+,;<=>\\]/.test(escaped)) return undefined;
    bytes.push(hex === undefined ? Buffer.from(escaped ?? plain ?? piece) : Buffer.from(hex, "hex"));
  }
  return decode(Buffer.concat(bytes));
}

/** UTF8String, PrintableString and IA5String. */
const textTags = [0x0c, 0x13, 0x16];

/** RFC 4514 §2.4, `#` and BER: how the value of an attribute without a name is written. Short texts only. */
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

/** The names of RFC 4514 §3, those that OpenSSL writes, and what they are called elsewhere. */
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

function resolveOid(type: string): string {
  return oids.get(type.toLowerCase()) ?? type.toLowerCase();
}
