/**
 * Who is at the other end of the connection, as far as TLS knows. It comes from whoever listens, beside the request and
 * never inside it: no header that a client sends can become a certificate here.
 */
import { hash } from "node:crypto";

export type ClientCertificate = {
  readonly der: Uint8Array;
  /** base64url SHA-256 of the DER encoding: what tokens are bound to (`x5t#S256`, RFC 8705 §3.1). */
  readonly thumbprint: string;
  /** Whether whoever ended TLS has followed its chain to an authority that the operator named. */
  readonly verified: boolean;
};

export type Peer = { readonly certificate?: ClientCertificate };

/** Somebody without a certificate: nearly everybody. */
export const nobody: Peer = {};

export function clientCertificate(der: Uint8Array, verified: boolean): ClientCertificate {
  return { der, thumbprint: hash("sha256", der, "base64url"), verified };
}
