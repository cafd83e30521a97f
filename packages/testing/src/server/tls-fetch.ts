/** A `fetch` over one TLS connection per request, with a CA, a client certificate and a local address. */
import { request } from "node:https";
import { createServer } from "node:net";
import type { TLSSocket } from "node:tls";

export type TlsFetchOptions = {
  readonly ca: string;
  /** PEM, both. */
  readonly certificate?: string;
  readonly key?: string;
  readonly localAddress?: string;
};

export type TlsFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export function createTlsFetch({ ca, certificate, key, localAddress }: TlsFetchOptions): TlsFetch {
  return async (url, init = {}) => {
    const { body, headers, method } = new Request(url, { ...init, redirect: "manual" });
    const sent = body && Buffer.from(await new Response(body).arrayBuffer());
    return await new Promise((resolve, reject) => {
      const options = { method, ca, cert: certificate, key, localAddress, agent: false };
      const outgoing = request(url, { ...options, headers: Object.fromEntries(headers) }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.once("error", reject);
        incoming.once("end", () => {
          const pairs = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
            values.map((value): [string, string] => [name, value]),
          );
          const status = incoming.statusCode ?? 0;
          const text = [204, 304].includes(status) ? null : Buffer.concat(chunks);
          resolve(new Response(text, { status, headers: pairs }));
        });
      });
      outgoing.once("error", reject);
      outgoing.end(sent ?? undefined);
    });
  };
}

/** Protocol, cipher suite and peer certificate of a connection. */
export type TlsDetails = {
  readonly protocol: string | null;
  readonly cipher: string;
  readonly thumbprint: string;
};

export function readTlsDetails(socket: TLSSocket): TlsDetails {
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    thumbprint: socket.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase() ?? "",
  };
}

/** Returns a port of loopback that is free now. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}
