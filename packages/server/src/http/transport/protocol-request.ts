/**
 * What a machine's request holds for an endpoint, whether Node's parser brought it or a fetch `Request`: the little that is
 * read of it, each thing when it is asked for. Nothing here judges what is in it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { TlsPeer } from "./peer.ts";
import type { ProtocolResponse } from "./response.ts";

export type ProtocolRequest = {
  readonly method: string;
  /** By its name in lower case; several of one name come joined by a comma (RFC 9110 §5.3). */
  readonly header: (name: string) => string | undefined;
  /** All of it. Throws an `OAuthError` where it is longer than so many bytes, or breaks off. */
  readonly body: (maxBytes: number) => Promise<Uint8Array>;
  /** Tells that the caller has hung up. */
  readonly signal: () => AbortSignal;
};

/** An endpoint as it stands in the route table. It always answers: what goes wrong is an answer too. */
export type ProtocolHandler = (call: ProtocolRequest, peer: TlsPeer) => Promise<ProtocolResponse>;

export function fromFetchRequest(request: Request): ProtocolRequest {
  const { headers } = request;
  return {
    method: request.method,
    header: (name) => headers.get(name) ?? undefined,
    body: (maxBytes) => readRequest(request, maxBytes),
    signal: () => request.signal,
  };
}

export function fromIncomingMessage(incoming: IncomingMessage, outgoing: ServerResponse): ProtocolRequest {
  return {
    method: incoming.method!,
    header: (name) => {
      const value = incoming.headers[name];
      return typeof value === "object" ? value.join(", ") : value;
    },
    body: (maxBytes) => readIncoming(incoming, maxBytes),
    signal: () => {
      const hangUp = new AbortController();
      // It may have gone while it was found out who it is.
      if (outgoing.destroyed) hangUp.abort();
      else outgoing.once("close", () => hangUp.abort());
      return hangUp.signal;
    },
  };
}

/** How long a caller that is answered already may go on sending: closing at once would take the answer from it. */
const drainMs = 500;

/** Writes an answer, and keeps the connection unless what the caller sends has not been read to its end. */
export function writeResponse(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, headers, body }: ProtocolResponse,
): void {
  const { complete } = incoming;
  if (!complete) outgoing.shouldKeepAlive = false;
  outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  if (complete) return void outgoing.end(body);
  outgoing.write(body);
  const timer = setTimeout(end, drainMs);
  for (const event of ["end", "close"]) incoming.once(event, end);
  incoming.resume();

  function end(): void {
    clearTimeout(timer);
    outgoing.end();
  }
}

const emptyBody = new Uint8Array();

function readIncoming(incoming: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Nearly always one chunk.
    let first: Uint8Array | undefined;
    let chunks: Uint8Array[] | undefined;
    let length = 0;
    incoming.on("data", (chunk: Uint8Array) => {
      length += chunk.byteLength;
      if (length > maxBytes) return reject(bodyTooLong(maxBytes));
      if (!first) first = chunk;
      else {
        chunks ??= [first];
        chunks.push(chunk);
      }
    });
    incoming.once("end", () => resolve(chunks ? Buffer.concat(chunks) : (first ?? emptyBody)));
    incoming.once("error", () => reject(bodyIncomplete()));
    incoming.once("close", () => incoming.complete || reject(bodyIncomplete()));
  });
}

async function readRequest(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (Number(declared) > maxBytes) throw bodyTooLong(maxBytes);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Whoever made the request holds a body to its declared length; one without is counted as it arrives.
    if (declared !== null) return new Uint8Array(await request.arrayBuffer());
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > maxBytes) throw bodyTooLong(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof OAuthError ? error : bodyIncomplete();
  }
  return Buffer.concat(chunks);
}

function bodyTooLong(maxBytes: number): OAuthError {
  return new OAuthError("invalid_request", `the body is longer than ${maxBytes} bytes`, { status: 413 });
}

/** A caller who hangs up is no fault of ours. */
function bodyIncomplete(): OAuthError {
  return new OAuthError("invalid_request", "the body did not arrive whole");
}
