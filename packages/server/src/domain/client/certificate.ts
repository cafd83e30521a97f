/** What a client's certificate says, held against what the client is registered for (RFC 8705 §2.1, §2.2). */
import { createPublicKey, type JsonWebKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { JsonObject } from "@countersign/protocol";
import ipaddr from "ipaddr.js";
import type { CertificateName } from "./client.ts";
import { areNamesEqual, parseDistinguishedName, parseSubject } from "./distinguished-name.ts";

/** Undefined for what is no certificate. */
export function parseCertificate(der: Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

/** Whether it bears the name: its whole subject, or one of its alternative names. Wildcards stand for themselves. */
export function hasName(certificate: X509Certificate, name: CertificateName, value: string): boolean {
  if (name === "subject_dn")
    return areNamesEqual(parseSubject(certificate.subject), parseDistinguishedName(value));
  const [label, normalize] = subjectAltTypes[name];
  const expected = normalize(value);
  return parseSubjectAltNames(certificate).some(
    ([kind, actual]) => kind === label && normalize(actual) === expected,
  );
}

const subjectAltTypes: Readonly<
  Record<Exclude<CertificateName, "subject_dn">, readonly [string, (value: string) => string]>
> = {
  san_dns: ["DNS", (value) => value.toLowerCase()],
  san_uri: ["URI", (value) => value],
  // RFC 8705 §2.1.2: compared as the bytes that they stand for.
  san_ip: ["IP Address", (value) => (isIP(value) ? ipaddr.parse(value).toNormalizedString() : value)],
  // RFC 5280 §4.2.1.6: what is before the @ has case, the host has none.
  san_email: ["email", (value) => value.replace(/@[^@]*$/, (host) => host.toLowerCase())],
};

/** As `node:crypto` lists them: `DNS:a, URI:b`, and a value with anything odd in it as a JSON string. */
function parseSubjectAltNames({ subjectAltName = "" }: X509Certificate): (readonly [string, string])[] {
  const names: [string, string][] = [];
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (entry.lastIndex < subjectAltName.length) {
    const [, kind = "", written = ""] = entry.exec(subjectAltName) ?? [];
    if (kind === "") return [];
    names.push([kind, written.startsWith('"') ? JSON.parse(written) : written]);
  }
  return names;
}

/** At this instant, in milliseconds since the epoch. */
export function isCurrent({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now < validToDate.getTime();
}

/**
 * Whether it is the certificate of one of these keys. A key that was registered with a certificate (`x5c`) is good for
 * that one alone; any other key for every certificate that has it.
 */
export function matchesAnyKey(certificate: X509Certificate, jwks: readonly JsonObject[]): boolean {
  return jwks.some((jwk) => {
    const { x5c } = jwk;
    if (x5c !== undefined) return Array.isArray(x5c) && x5c[0] === certificate.raw.toString("base64");
    try {
      const key = createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
      return key.equals(certificate.publicKey);
    } catch {
      return false;
    }
  });
}
