/** Compares a client's certificate with the client's registration (RFC 8705 §2.1, §2.2). */
import { createPublicKey, type JsonWebKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { JsonObject } from "@countersign/protocol";
import ipaddr from "ipaddr.js";
import type { CertificateName } from "./client.ts";
import { areNamesEqual, parseDistinguishedName, parseSubject } from "./distinguished-name.ts";

/** Parses DER or PEM. Returns undefined if it is not an X.509 certificate. */
export function parseCertificate(der: Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

/**
 * Returns true if the whole subject or one of the subject alternative names equals `value`. Wildcards are compared
 * literally.
 */
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
  // RFC 8705 §2.1.2: compare the binary addresses, not their spelling.
  san_ip: ["IP Address", (value) => (isIP(value) ? ipaddr.parse(value).toNormalizedString() : value)],
  // RFC 5280 §4.2.1.6: the local part is case-sensitive, the host is not.
  san_email: ["email", (value) => value.replace(/@[^@]*$/, (host) => host.toLowerCase())],
};

/**
 * Parses the list that `node:crypto` returns: `DNS:a, URI:b`. A value with special characters is a JSON string. Returns an
 * empty list if any entry is malformed.
 */
function parseSubjectAltNames({ subjectAltName = "" }: X509Certificate): (readonly [string, string])[] {
  const names: [string, string][] = [];
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (entry.lastIndex < subjectAltName.length) {
    const [, kind = "", encoded = ""] = entry.exec(subjectAltName) ?? [];
    if (kind === "") return [];
    names.push([kind, encoded.startsWith('"') ? JSON.parse(encoded) : encoded]);
  }
  return names;
}

/** Returns true if the certificate is valid at `now`, in milliseconds since the epoch. */
export function isCurrent({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now < validToDate.getTime();
}

/**
 * Returns true if the certificate matches one of these keys. A key that is registered with a certificate (`x5c`) matches
 * only that certificate; any other key matches every certificate with this public key.
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
