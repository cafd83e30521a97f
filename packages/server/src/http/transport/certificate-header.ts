/**
 * A client's certificate as a proxy that has ended TLS passes it on: `Client-Cert` (RFC 9440 §2.2), or the PEM text
 * URL-encoded, as nginx writes `$ssl_client_escaped_cert`. Whether the header may be believed is not decided here.
 */
import { parseCertificate } from "../../domain/client/certificate.ts";

/** A long chain fits several times over; this is one certificate. */
const longest = 32_768;

/** The DER encoding; undefined for what is not exactly one certificate, such as two headers of the name, joined. */
export function readCertificateHeader(value: string): Uint8Array | undefined {
  if (value.length > longest) return undefined;
  const base64 = /^:([A-Za-z0-9+/]+={0,2}):$/.exec(value)?.[1];
  const certificate = parseCertificate(base64 === undefined ? readPem(value) : Buffer.from(base64, "base64"));
  // What is read is what was sent, and nothing after it.
  if (base64 !== undefined && certificate?.raw.toString("base64") !== base64) return undefined;
  return certificate?.raw;
}

function readPem(value: string): string {
  if (!/^(?:[A-Za-z0-9_.~/-]|%[0-9A-Fa-f]{2})+$/.test(value)) return "";
  const text = value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  const one = /^-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;
  return one.test(text) ? text : "";
}
