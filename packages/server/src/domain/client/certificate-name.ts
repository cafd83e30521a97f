/** Validates the names that a client certificate is registered by (RFC 8705 §2.1.2). */
import { isIP } from "node:net";
import type { CertificateName } from "./client.ts";
import { parseDistinguishedName } from "./distinguished-name.ts";

const validators: Readonly<Record<CertificateName, (value: string) => boolean>> = {
  subject_dn: (value) => parseDistinguishedName(value) !== undefined,
  san_dns: (value) => /^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(value),
  san_uri: (value) => URL.canParse(value),
  san_ip: (value) => isIP(value) !== 0,
  san_email: (value) => /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u.test(value),
};

/** Returns true if a certificate can contain this name. At most 500 characters. */
export function isCertificateValue(name: CertificateName, value: string): boolean {
  return value.length <= 500 && validators[name](value);
}
