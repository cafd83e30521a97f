/**
 * The request as protocol endpoints see it, from Node's parser or from a fetch `Request`. Headers and body are read lazily;
 * nothing is validated here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { TlsPeer } from "./peer.ts";
import type { ProtocolResponse } from "./response.ts";

export type ProtocolRequest = {
  readonly method: string;
  /** Returns a header by its lower-case name; repeated headers are joined by a comma (RFC 9110 §5.3). */
  readonly header: (name: string) => string | undefined;
  /** Reads the whole body. Rejects with `OAuthError` if it is longer than `maxBytes` or incomplete. */
  readonly body: (maxBytes: number) => Promise<Uint8Array>;
  /** Aborts when the client disconnects. */
  readonly signal: () => AbortSignal;
};

/** An endpoint of the route table. Never rejects: errors become error responses. */
export type ProtocolHandler = (request: ProtocolRequest, peer: TlsPeer) => Promise<ProtocolResponse>;

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
      const controller = new AbortController();
      // The client may have disconnected during authentication.
      if (outgoing.destroyed) controller.abort();
      else outgoing.once("close", () => controller.abort());
      return controller.signal;
    },
  };
}

/** How long a client may go on sending after the response: closing at once could discard the response (TCP reset). */
const drainMs = 500;

/** Writes a response. Keeps the connection open only if the request body was read completely. */
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
    // Usually one chunk.
    let first: Uint8Array | undefined;
    let chunks: Uint8Array[] | undefined;
    let length = 0;
    incoming.on("data", (chunk: Uint8Array) => {
      length += chunk.byteLength;
      if (length > maxBytes) return reject(createBodyTooLongError(maxBytes));
      if (!first) first = chunk;
      else {
        chunks ??= [first];
        chunks.push(chunk);
      }
    });
    incoming.once("end", () => resolve(chunks ? Buffer.concat(chunks) : (first ?? emptyBody)));
    incoming.once("error", () => reject(createBodyIncompleteError()));
    incoming.once("close", () => incoming.complete || reject(createBodyIncompleteError()));
  });
}

async function readRequest(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (Number(declared) > maxBytes) throw createBodyTooLongError(maxBytes);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // The parser enforces a declared Content-Length; a body without one is counted here.
    if (declared !== null) return new Uint8Array(await request.arrayBuffer());
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > maxBytes) throw createBodyTooLongError(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof OAuthError ? error : createBodyIncompleteError();
  }
  return Buffer.concat(chunks);
}

function createBodyTooLongError(maxBytes: number): OAuthError {
  return new OAuthError("invalid_request", `the body is longer than ${maxBytes} bytes`, { status: 413 });
}

/** A disconnect during the body is a client error. */
function createBodyIncompleteError(): OAuthError {
  return new OAuthError("invalid_request", "the body is incomplete");
}
