/** Calls an endpoint's handler with a request, without a router and without a listener. */
import { OAuthError } from "../../../server/src/http/oauth/oauth-error.ts";
import type { EndpointHandler } from "../../../server/src/http/route.ts";
import { anonymousPeer, type TlsPeer } from "../../../server/src/http/transport/peer.ts";
import { fromFetchRequest } from "../../../server/src/http/transport/protocol-request.ts";
import type { HttpReply } from "../server/deployment.ts";

export type EndpointCall = RequestInit & {
  /** The value of the path's parameter. Default: none. */
  readonly parameter?: string;
  /** Default: a connection without a client certificate. */
  readonly peer?: TlsPeer;
};

/**
 * Returns the response of the handler, or that of the `OAuthError` that it threw. Rejects with any other error: a fault
 * fails the test.
 */
export async function callEndpoint(
  endpoint: EndpointHandler,
  { parameter = "", peer = anonymousPeer, ...init }: EndpointCall,
): Promise<HttpReply> {
  // The handler sees neither the URL nor the host.
  const request = new Request("http://endpoint.test/", { method: "POST", ...init });
  const response = await endpoint(fromFetchRequest(request), peer, parameter).catch((error) => {
    if (error instanceof OAuthError) return error.toProtocolResponse();
    throw error;
  });
  const { status, headers, body } = response;
  return { status, headers: new Headers(headers), body: body === "" ? {} : JSON.parse(body) };
}
