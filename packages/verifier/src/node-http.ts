/** Reads the call from a Node HTTP request and reports its result, for the frameworks based on `node:http`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Call, ClientCertificate } from "./call.ts";
import type { Reservation } from "./spend.ts";

export type MiddlewareOptions<Request> = {
  /**
   * Returns the caller's certificate, for tokens bound to one, if a proxy terminates TLS and forwards the certificate in a
   * header that it removes from incoming requests. Default: the certificate of the connection.
   */
  readonly clientCertificate?: (request: Request) => ClientCertificate | undefined;
};

/** `url` is absolute. */
export function callOf(
  { headers, method = "", socket }: IncomingMessage,
  url: string,
  clientCertificate: () => ClientCertificate | undefined = () => certificateOf(socket),
): Call {
  // Node joins repeated headers with a comma, which no token or proof contains.
  return { headers: { get: (name) => String(headers[name] ?? "") || null }, method, url, clientCertificate };
}

/** Returns the client certificate of a TLS connection as DER, or undefined. */
export function certificateOf(socket: object): Uint8Array | undefined {
  const { getPeerCertificate } = socket as { getPeerCertificate?: () => { raw?: Uint8Array } };
  return getPeerCertificate?.call(socket)?.raw;
}

/** Returns a function that reports whether the caller disconnected, so that it cannot receive the result. */
export function watch(response: ServerResponse): () => boolean {
  let gone = false;
  response.once("close", () => {
    gone = true;
  });
  return () => gone || response.headersSent;
}

/**
 * Reports the result when the response was sent: below 400 completes the spend, any other fails it. If the connection
 * closes before, the result is unknown, and nothing is reported.
 */
export function finishSpend(
  response: ServerResponse,
  reservation: Pick<Reservation, "complete" | "fail">,
): void {
  response.once("finish", () => (response.statusCode < 400 ? reservation.complete() : reservation.fail()));
}
