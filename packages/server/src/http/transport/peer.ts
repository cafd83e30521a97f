/**
 * The TLS peer of a connection. The listener passes it beside the request, so it cannot be forged in the request. A header is
 * accepted as a certificate only from the addresses of a configured proxy.
 */
import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { MtlsSettings } from "../../config/section/listen.ts";
import { isInRange } from "../../domain/url/ip-address.ts";
import { readCertificateHeader } from "./certificate-header.ts";

export type ClientCertificate = {
  readonly der: Uint8Array;
  /** base64url SHA-256 of the DER encoding; tokens are bound to it (`x5t#S256`, RFC 8705 §3.1). */
  readonly thumbprint: string;
  /** True if the TLS endpoint (listener or proxy) verified the chain against a configured authority. */
  readonly verified: boolean;
};

export type TlsPeer = { readonly certificate?: ClientCertificate };

/** A peer without a client certificate (the usual case). */
export const anonymousPeer: TlsPeer = {};

export function toClientCertificate(der: Uint8Array, verified: boolean): ClientCertificate {
  return { der, thumbprint: hash("sha256", der, "base64url"), verified };
}

/** Returns undefined if the certificate cannot be parsed. */
type PeerReader = (incoming: IncomingMessage) => TlsPeer | undefined;

/** Returns a reader for the connection's certificate or, behind a proxy, for its header. */
export function createPeerReader(mtls: MtlsSettings | undefined): PeerReader {
  if (!mtls) return () => anonymousPeer;
  const { proxy } = mtls;
  if (!proxy) return createConnectionPeerReader();
  return ({ headers, socket }) => {
    const value = headers[proxy.header];
    if (value === undefined || !isInRange(socket.remoteAddress ?? "", proxy.addresses)) return anonymousPeer;
    const der = typeof value === "string" ? readCertificateHeader(value) : undefined;
    return der && { certificate: toClientCertificate(der, proxy.verified) };
  };
}

/** Reads the certificate from the TLS connection. Cached per connection. */
function createConnectionPeerReader(): PeerReader {
  const peers = new WeakMap<object, TlsPeer>();
  return ({ socket }) => {
    let peer = peers.get(socket);
    if (!peer) {
      const { authorized } = socket as TLSSocket;
      const certificate = (socket as TLSSocket).getPeerX509Certificate();
      peer = certificate ? { certificate: toClientCertificate(certificate.raw, authorized) } : anonymousPeer;
      peers.set(socket, peer);
    }
    return peer;
  };
}
