/**
 * Makes one HTTP call, optionally with a client certificate. Does not follow redirects, retry, or throw for a status.
 */
import { request as clear, type IncomingHttpHeaders } from "node:http";
import { request as encrypted } from "node:https";

/** Certificate and key, both PEM. */
export type Certificate = { readonly certificate: string; readonly key: string };

export type Call = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  readonly certificate?: Certificate | undefined;
  /** The certificate authority to trust, PEM. */
  readonly ca?: string | undefined;
};

export type CallResult = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body parsed as JSON; undefined if it is not JSON. */
  readonly body: any;
};

/** Rejects if there is no response. */
export function call(
  url: string,
  { method = "GET", headers = {}, body, certificate, ca }: Call = {},
): Promise<CallResult> {
  const request = url.startsWith("https:") ? encrypted : clear;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        method,
        headers: {
          ...(body !== undefined && { "content-length": String(Buffer.byteLength(body)) }),
          ...(headers as Record<string, string | string[]>),
        },
        agent: false,
        ...(ca !== undefined && { ca }),
        ...(certificate && { cert: certificate.certificate, key: certificate.key }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.once("error", reject);
        incoming.once("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, body: json(text) });
        });
      },
    );
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
