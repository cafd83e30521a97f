/** `fetch` over a TLS connection of its own: with an authority to believe, a certificate to show, an address to come from. */
import { request } from "node:https";
import { createServer } from "node:net";
import type { TLSSocket } from "node:tls";

export type Caller = {
  readonly ca: string;
  /** PEM, both. */
  readonly certificate?: string;
  readonly key?: string;
  readonly localAddress?: string;
};

export type SecureFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export function secureFetch({ ca, certificate, key, localAddress }: Caller): SecureFetch {
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

/** What the connection was: who the other side is, and what was spoken. */
export type Spoken = {
  readonly protocol: string | null;
  readonly cipher: string;
  readonly thumbprint: string;
};

export function spokenOf(socket: TLSSocket): Spoken {
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    thumbprint: socket.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase() ?? "",
  };
}

/** A port of this machine on which nobody listens now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}
