/**
 * Parses a client certificate from the header of a TLS-terminating proxy: `Client-Cert` (RFC 9440 §2.2), or URL-encoded PEM
 * (`$ssl_client_escaped_cert` of nginx). The caller decides whether the header is trusted.
 */
import { parseCertificate } from "../../domain/client/certificate.ts";

/** Maximum header length; far more than one certificate needs. */
const maxHeaderBytes = 32_768;

/** Returns the DER encoding; undefined unless the header is exactly one certificate (two joined headers are not). */
export function readCertificateHeader(value: string): Uint8Array | undefined {
  if (value.length > maxHeaderBytes) return undefined;
  const base64 = /^:([A-Za-z0-9+/]+={0,2}):$/.exec(value)?.[1];
  const certificate = parseCertificate(base64 === undefined ? readPem(value) : Buffer.from(base64, "base64"));
  // Reject trailing data.
  if (base64 !== undefined && certificate?.raw.toString("base64") !== base64) return undefined;
  return certificate?.raw;
}

function readPem(value: string): string {
  if (!/^(?:[A-Za-z0-9_.~/-]|%[0-9A-Fa-f]{2})+$/.test(value)) return "";
  const text = value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  const pemPattern = /^-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;
  return pemPattern.test(text) ? text : "";
}
