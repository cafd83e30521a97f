import { Agent, request } from "node:https";

/** Certificate chain and private key as PEM. `ca` replaces Node's trusted certificate authorities. */
export type ClientCertificate = {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
  readonly passphrase?: string;
  readonly ca?: string | Uint8Array;
};

/** Statuses for which `Response` does not accept a body. */
const bodiless = new Set([204, 205, 304]);

/**
 * Creates a `fetch` for Node that presents a client certificate (RFC 8705), for `createAgent` and for calls to an API
 * whose tokens are bound to that certificate. It does not follow redirects.
 *
 * @param certificate - The certificate chain, its private key, and optionally a passphrase and `ca`.
 * @returns A `fetch`. As any `fetch`, it rejects with a TypeError for a URL that is not https:, with the signal's reason, or
 * with the error of the connection; these errors are not a `CountersignError`.
 * @throws An error of `node:tls` when the first request is sent, if the certificate or key cannot be read.
 * @example
 * const agent = createAgent(credentials, {
 *   clientAuthentication: "tls_client_auth",
 *   fetch: mtlsFetch({ cert: readFileSync("agent.pem"), key: readFileSync("agent.key") }),
 * });
 */
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
