/** What Node's own HTTP server knows of a call, and of how it ended: for the frameworks that stand on it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Call, ClientCertificate } from "./call.ts";
import type { Reservation } from "./spend.ts";

export type MiddlewareOptions<Request> = {
  /**
   * The caller's certificate, for tokens that are bound to one, where a proxy ends TLS and passes it on in a header that it
   * never lets through from outside. Without this it is the certificate of the connection itself.
   */
  readonly clientCertificate?: (request: Request) => ClientCertificate | undefined;
};

/** `url` is absolute. */
export function callOf(
  { headers, method = "", socket }: IncomingMessage,
  url: string,
  clientCertificate: () => ClientCertificate | undefined = () => certificateOf(socket),
): Call {
  // Node has joined what came twice by a comma, which is in no token and no proof.
  return { headers: { get: (name) => String(headers[name] ?? "") || null }, method, url, clientCertificate };
}

/** DER, if the connection is TLS and was opened with a certificate. */
export function certificateOf(socket: object): Uint8Array | undefined {
  const { getPeerCertificate } = socket as { getPeerCertificate?: () => { raw?: Uint8Array } };
  return getPeerCertificate?.call(socket)?.raw;
}

/** Notices that the caller leaves: whoever is gone would never learn what happened. */
export function watch(response: ServerResponse): () => boolean {
  let gone = false;
  response.once("close", () => {
    gone = true;
  });
  return () => gone || response.headersSent;
}

/**
 * Reports the end once the response is out: below 400 completes the spend, any other fails it. Where the connection
 * closes before, nobody knows how far the handler came: nothing is reported, and the spend becomes unknown.
 */
export function finishSpend(
  response: ServerResponse,
  reservation: Pick<Reservation, "complete" | "fail">,
): void {
  response.once("finish", () => (response.statusCode < 400 ? reservation.complete() : reservation.fail()));
}
