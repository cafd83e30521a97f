/** An HTTPS server on loopback that records the requests it receives, with a certificate of a test CA. */
import { createServer as createHttpServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { CertificateAuthority } from "./certificate.ts";

export type ReceivedRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Receiver = {
  readonly port: number;
  /** `https://localhost:…`, or `http://localhost:…` without certificates. */
  readonly origin: string;
  readonly received: ReceivedRequest[];
  /** Resolves once this many requests have been received in total. */
  readonly waitForCount: (count: number) => Promise<void>;
  /** Writes the response. Default: 204. */
  respond: (response: ServerResponse, received: ReceivedRequest) => void;
  /** Returns the number of open connections. */
  readonly countConnections: () => number;
  readonly close: () => Promise<void>;
};

/** Starts a receiver on a free port; without certificates it uses plain HTTP. */
export async function startReceiver(
  certificates?: CertificateAuthority,
  name = "localhost",
): Promise<Receiver> {
  const own = await certificates?.issueForServer(name);
  const received: ReceivedRequest[] = [];
  const waiting = new Set<() => void>();
  let open = 0;
  const server = own
    ? createServer({ cert: own.certificate, key: own.key })
    : (createHttpServer() as unknown as Server);
  server.on("connection", (socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
    });
  });
  server.on("request", async (request, response) => {
    const { method = "", url: path = "", headers } = request;
    const one = { method, path, headers, body: await text(request) };
    received.push(one);
    receiver.respond(response, one);
    for (const look of waiting) look();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = {
    port,
    origin: `${own ? "https" : "http"}://localhost:${port}`,
    received,
    waitForCount: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (received.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    respond: (response) => response.writeHead(204).end(),
    countConnections: () => open,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}
