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
import type { ListenSettings, MtlsSettings } from "../../config/section/listen.ts";
import type { App } from "../app.ts";
import { OAuthError } from "../oauth/oauth-error.ts";
import { createPeerReader } from "./peer.ts";
import { fromIncomingMessage, type ProtocolHandler, writeResponse } from "./protocol-request.ts";
import { type ProtocolResponse, toResponse } from "./response.ts";
import { readCertificates, readTls, type TlsRefusal, tlsDefaults } from "./tls.ts";

export type ListenerApps = {
  /** Handles all routes; `protocol` handles only the protocol endpoints. */
  readonly app: App;
  readonly protocol: App;
};

export type Listener = {
  /** Bound addresses, main listener first. If port 0 was configured, with the actual port. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Reloads certificates and keys; also runs every minute. Reports an error to `onFault` and keeps the old ones. */
  readonly renew: () => void;
  /** Stops accepting connections, waits for running requests, and aborts those that take longer than `timeoutMs`. */
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
  readonly settings: ListenSettings;
  readonly app: App;
  /** How client certificates reach this listener; undefined if they do not. */
  readonly mtls?: MtlsSettings | undefined;
};

/** Opens the listeners. Returns a refusal if a certificate is invalid or an address cannot be bound. */
export async function listen(
  { listen: main, mtls }: Pick<Config, "listen" | "mtls">,
  { app, protocol }: ListenerApps,
  onFault: (fault: unknown, where: string) => void,
  timeoutOverrides: Partial<typeof timeouts> = {},
): Promise<Listener | TlsRefusal> {
  const entries: ListenerEntry[] = [{ settings: main, app, mtls: mtls?.listen ? undefined : mtls }];
  if (mtls?.listen) entries.push({ settings: mtls.listen, app: protocol, mtls });

  const servers: ListeningServer[] = [];
  const close = async (timeoutMs: number) => {
    clearInterval(timer);
    await Promise.all(servers.map((server) => server.close(timeoutMs)));
  };
  const renew = () => {
    for (const { renew } of servers) {
      const refusal = renew();
      if (refusal) onFault(new Error(`${refusal.refused}. ${refusal.remedy}`), "certificate");
    }
  };
  const timer = setInterval(renew, renewMs).unref();
  for (const entry of entries) {
    const server = await openServer(entry, onFault, { ...timeouts, ...timeoutOverrides });
    if ("refused" in server) {
      await close(0);
      return server;
    }
    servers.push(server);
  }
  return { addresses: servers.map(({ address }) => address), renew, close };
}

type ListeningServer = {
  readonly address: Listener["addresses"][number];
  readonly renew: () => TlsRefusal | undefined;
  readonly close: (timeoutMs: number) => Promise<void>;
};

async function openServer(
  { settings, app: { fetch, findHandler }, mtls }: ListenerEntry,
  onFault: (fault: unknown, where: string) => void,
  options: typeof timeouts,
): Promise<ListeningServer | TlsRefusal> {
  const tlsOptions = readSecureContext(settings, mtls);
  if (tlsOptions && "refused" in tlsOptions) return tlsOptions;
  const readPeer = createPeerReader(mtls);
  const requestCert = mtls !== undefined && !mtls.proxy;
  const handleFetch = getRequestListener((request, { incoming }) => {
    const peer = readPeer(incoming as IncomingMessage);
    return peer ? fetch(request, peer) : toResponse(createBadCertificateResponse());
  });
  const serve = async (handler: ProtocolHandler, incoming: IncomingMessage, outgoing: ServerResponse) => {
    const peer = readPeer(incoming);
    const response = peer
      ? await handler(fromIncomingMessage(incoming, outgoing), peer)
      : createBadCertificateResponse();
    writeResponse(incoming, outgoing, response);
  };
  const requestListener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const handler = incoming.method === "POST" ? findHandler(incoming.url!) : undefined;
    if (!handler) return void handleFetch(incoming, outgoing);
    serve(handler, incoming, outgoing).catch((fault: unknown) => {
      onFault(fault, "listener");
      outgoing.destroy();
    });
  };
  const server = tlsOptions
    ? createHttpsServer(
        {
          ...options,
          ...tlsOptions,
          requestCert,
          // Accept connections without a certificate or with an untrusted one; client authentication decides later.
          rejectUnauthorized: false,
        },
        requestListener,
      )
    : createHttpServer(options, requestListener);
  const refusal = await new Promise<TlsRefusal | undefined>((resolve) => {
    server.once("error", (cause: NodeJS.ErrnoException) => resolve(toListenRefusal(settings, cause)));
    server.listen(settings.port, settings.host, () => resolve(undefined));
  });
  if (refusal) return refusal;
  let current = JSON.stringify(tlsOptions);
  return {
    address: { host: settings.host, port: (server.address() as AddressInfo).port },
    renew: () => {
      const renewed = readSecureContext(settings, mtls);
      if (!renewed || "refused" in renewed) return renewed;
      const text = JSON.stringify(renewed);
      if (text !== current && server instanceof TlsServer) server.setSecureContext(renewed);
      current = text;
      return undefined;
    },
    close: async (timeoutMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // A busy connection becomes idle after its response and would be kept for the next request.
      const closeIdleTimer = setInterval(() => server.closeIdleConnections(), 50);
      const forceCloseTimer = setTimeout(() => server.closeAllConnections(), timeoutMs);
      await closed;
      clearInterval(closeIdleTimer);
      clearTimeout(forceCloseTimer);
    },
  };
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied: ports below 1024 need additional privileges",
};

function toListenRefusal({ host, port }: ListenSettings, cause: NodeJS.ErrnoException): TlsRefusal {
  return {
    refused: `cannot listen on ${host}:${port}: ${reasons[cause.code ?? ""] ?? cause.message}`,
    remedy: "Stop the process that uses the port, or change listen (and the port in issuer).",
  };
}

/** Returns the TLS options of a listener; undefined without TLS. */
function readSecureContext(
  { tls }: ListenSettings,
  mtls: MtlsSettings | undefined,
): SecureContextOptions | TlsRefusal | undefined {
  if (!tls) return undefined;
  const keyPair = readTls(tls);
  if ("refused" in keyPair) return keyPair;
  if (!mtls || mtls.proxy) return { ...tlsDefaults, ...keyPair };
  // Trust only the configured authorities, not the system's.
  if (mtls.authoritiesFile === undefined) return { ...tlsDefaults, ...keyPair, ca: [] };
  const authorities = readCertificates(mtls.authoritiesFile);
  return "refused" in authorities ? authorities : { ...tlsDefaults, ...keyPair, ca: authorities.pem };
}

function createBadCertificateResponse(): ProtocolResponse {
  return new OAuthError(
    "invalid_request",
    "the client certificate in the proxy's header cannot be parsed",
  ).toProtocolResponse();
}
