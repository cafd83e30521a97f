/**
 * A `fetch` for Node that presents a client certificate (RFC 8705), for `createAgent` and for the calls to an API whose
 * tokens are bound to that certificate. It follows no redirect, and trusts what Node trusts, or `ca` alone.
 */
import { Agent, request } from "node:https";

/** Certificate chain and private key as PEM; `ca` where the server's certificate is not publicly trusted. */
export type ClientCertificate = {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
  readonly passphrase?: string;
  readonly ca?: string | Uint8Array;
};

/** Statuses that a `Response` takes no body for. */
const bodiless = new Set([204, 205, 304]);

export function mtlsFetch({ cert, key, passphrase, ca }: ClientCertificate): typeof fetch {
  const buffer = (pem: string | Uint8Array) => (typeof pem === "string" ? pem : Buffer.from(pem));
  const agent = new Agent({
    keepAlive: true,
    cert: buffer(cert),
    key: buffer(key),
    passphrase,
    ca: ca === undefined ? undefined : buffer(ca),
  });
  return async (input, init) => {
    const asked = new Request(input, init);
    if (!asked.url.startsWith("https:"))
      throw new TypeError(`a certificate can be presented over https: only, not to ${asked.url}`);
    const { method, signal } = asked;
    const body = Buffer.from(await asked.arrayBuffer());
    const headers = { ...Object.fromEntries(asked.headers), "content-length": String(body.byteLength) };
    return new Promise<Response>((resolve, reject) => {
      const sent = request(asked.url, { agent, method, headers, signal }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          const text = bodiless.has(status) ? null : Buffer.concat(chunks);
          resolve(new Response(text, { status, headers: headerPairs(answer.rawHeaders) }));
        });
      });
      sent.on("error", (error) => reject(signal.aborted ? signal.reason : error));
      sent.end(body);
    });
  };
}

function headerPairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ""] as [string, string]] : []));
}
