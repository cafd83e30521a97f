/** Somebody else's HTTPS server on loopback, with a certificate of a test's own authority; it keeps what it is sent. */
import { createServer as createHttpServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Certificates } from "./certificate.ts";

export type Received = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Receiver = {
  readonly port: number;
  /** `https://localhost:…`, or as the receiver speaks. */
  readonly origin: string;
  readonly received: Received[];
  /** Resolves once this many have been received in all. */
  readonly until: (count: number) => Promise<void>;
  /** How it answers from now on; 204 unless a test says otherwise. */
  answer: (response: ServerResponse, received: Received) => void;
  /** Connections that are open now. */
  readonly open: () => number;
  readonly close: () => Promise<void>;
};

/** Without certificates it speaks plain HTTP. */
export async function receive(certificates?: Certificates, name = "localhost"): Promise<Receiver> {
  const own = await certificates?.forServer(name);
  const received: Received[] = [];
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
    receiver.answer(response, one);
    for (const look of waiting) look();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = {
    port,
    origin: `${own ? "https" : "http"}://localhost:${port}`,
    received,
    until: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (received.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    answer: (response) => response.writeHead(204).end(),
    open: () => open,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}
