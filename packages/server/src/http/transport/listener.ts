/**
 * HTTP(S) listener, and a second one for mutual TLS if configured. Passes the TLS peer to the application; makes no access
 * decision. Slow and idle connections are closed.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type SecureContextOptions, Server as TlsServer } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import type { Config } from "../../config/config.ts";
import type { ListenSettings, MtlsSettings } from "../../config/listening.ts";
import type { App } from "../app.ts";
import { OAuthError } from "../oauth/oauth-error.ts";
import { createPeerReader } from "./peer.ts";
import { fromIncomingMessage, type ProtocolHandler, writeResponse } from "./protocol-request.ts";
import { type ProtocolResponse, toResponse } from "./response.ts";
import { readCertificates, readTls, suites, type TlsRefusal } from "./tls.ts";

export type ListenResult = {
  /** Handles all routes; `protocol` handles only the protocol endpoints. */
  readonly app: App;
  readonly protocol: App;
};

export type Listener = {
  /** Bound addresses, main listener first. If port 0 was configured, with the actual port. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Reloads certificates and keys, as happens every minute. On an error, it is reported and the old ones stay in use. */
  readonly renew: () => void;
  /** Stops accepting connections, waits for running requests, and closes those that take longer than `patienceMs`. */
  readonly close: (timeoutMs: number) => Promise<void>;
};

/** Timeouts in milliseconds: TLS handshake, headers, whole request, and idle between requests. */
const timeouts = {
  handshakeTimeout: 10_000,
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  keepAliveTimeout: 65_000,
  /** How often the timeouts are checked. */
  connectionsCheckingInterval: 2_000,
  /** Repeated headers are joined, so that they are refused and not dropped (RFC 9110 §5.3). */
  joinDuplicateHeaders: true,
};
const renewMs = 60_000;

type ListenerEntry = {
  readonly at: ListenSettings;
  readonly app: App;
  /** How client certificates reach this listener; undefined if they do not. */
  readonly mtls?: MtlsSettings | undefined;
};

export async function listen(
  { listen: main, mtls }: Pick<Config, "listen" | "mtls">,
  { app, protocol }: ListenResult,
  onFault: (fault: unknown, where: string) => void,
  changed: Partial<typeof timeouts> = {},
): Promise<Listener | TlsRefusal> {
  const entries: ListenerEntry[] = [{ at: main, app, mtls: mtls?.listen ? undefined : mtls }];
  if (mtls?.listen) entries.push({ at: mtls.listen, app: protocol, mtls });

  const opened: Opened[] = [];
  const close = async (timeoutMs: number) => {
    clearInterval(timer);
    await Promise.all(opened.map((one) => one.close(timeoutMs)));
  };
  const renew = () => {
    for (const { renew } of opened) {
      const refusal = renew();
      if (refusal) onFault(new Error(`${refusal.refused}. ${refusal.remedy}`), "certificate");
    }
  };
  const timer = setInterval(renew, renewMs).unref();
  for (const entry of entries) {
    const one = await open(entry, onFault, { ...timeouts, ...changed });
    if ("refused" in one) {
      await close(0);
      return one;
    }
    opened.push(one);
  }
  return { addresses: opened.map(({ address }) => address), renew, close };
}

type Opened = {
  readonly address: Listener["addresses"][number];
  readonly renew: () => TlsRefusal | undefined;
  readonly close: (timeoutMs: number) => Promise<void>;
};

async function open(
  { at, app: { fetch, findHandler }, mtls }: ListenerEntry,
  onFault: (fault: unknown, where: string) => void,
  options: typeof timeouts,
): Promise<Opened | TlsRefusal> {
  const secure = secureContext(at, mtls);
  if (secure && "refused" in secure) return secure;
  const peerOf = createPeerReader(mtls);
  const requestCert = mtls !== undefined && !mtls.proxy;
  const handleFetch = getRequestListener((request, { incoming }) => {
    const peer = peerOf(incoming as IncomingMessage);
    return peer ? fetch(request, peer) : toResponse(badCertificate());
  });
  const serve = async (handler: ProtocolHandler, incoming: IncomingMessage, outgoing: ServerResponse) => {
    const peer = peerOf(incoming);
    const answer = peer ? await handler(fromIncomingMessage(incoming, outgoing), peer) : badCertificate();
    writeResponse(incoming, outgoing, answer);
  };
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const handler = incoming.method === "POST" ? findHandler(incoming.url!) : undefined;
    if (!handler) return void handleFetch(incoming, outgoing);
    serve(handler, incoming, outgoing).catch((fault: unknown) => {
      onFault(fault, "listener");
      outgoing.destroy();
    });
  };
  const server = secure
    ? createHttpsServer(
        {
          ...options,
          ...secure,
          requestCert: requestCert,
          // Accept connections without a certificate or with an untrusted one; client authentication decides later.
          rejectUnauthorized: false,
        },
        listener,
      )
    : createHttpServer(options, listener);
  const refusal = await new Promise<TlsRefusal | undefined>((resolve) => {
    server.once("error", (cause: NodeJS.ErrnoException) => resolve(cannotListen(at, cause)));
    server.listen(at.port, at.host, () => resolve(undefined));
  });
  if (refusal) return refusal;
  let current = JSON.stringify(secure);
  return {
    address: { host: at.host, port: (server.address() as AddressInfo).port },
    renew: () => {
      const fresh = secureContext(at, mtls);
      if (!fresh || "refused" in fresh) return fresh;
      const text = JSON.stringify(fresh);
      if (text !== current && server instanceof TlsServer) server.setSecureContext(fresh);
      current = text;
      return undefined;
    },
    close: async (timeoutMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // A busy connection becomes idle after its response and would be kept for the next request.
      const closing = setInterval(() => server.closeIdleConnections(), 50);
      const forceClose = setTimeout(() => server.closeAllConnections(), timeoutMs);
      await closed;
      clearInterval(closing);
      clearTimeout(forceClose);
    },
  };
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied: ports below 1024 need additional privileges",
};

function cannotListen({ host, port }: ListenSettings, cause: NodeJS.ErrnoException): TlsRefusal {
  return {
    refused: `cannot listen on ${host}:${port}: ${reasons[cause.code ?? ""] ?? cause.message}`,
    remedy: "Stop what is in the way; or change listen, and issuer where it names the port.",
  };
}

/** Returns undefined without TLS. */
function secureContext(
  { tls }: ListenSettings,
  mtls: MtlsSettings | undefined,
): SecureContextOptions | TlsRefusal | undefined {
  if (!tls) return undefined;
  const own = readTls(tls);
  if ("refused" in own) return own;
  if (!mtls || mtls.proxy) return { ...suites, ...own };
  // Trust only the configured authorities, not the system's.
  if (mtls.authoritiesFile === undefined) return { ...suites, ...own, ca: [] };
  const authorities = readCertificates(mtls.authoritiesFile);
  return "refused" in authorities ? authorities : { ...suites, ...own, ca: authorities.pem };
}

function badCertificate(): ProtocolResponse {
  return new OAuthError(
    "invalid_request",
    "the client certificate in the proxy's header cannot be parsed",
  ).toProtocolResponse();
}
