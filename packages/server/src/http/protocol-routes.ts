/**
 * What machines post to, all day: found by its exact path, read from whatever brought it, and answered without a router or
 * middleware, which would cost as much as all that a poll does. Any other spelling of a path goes through the routes.
 */
import { isLoopback } from "../config/url-check.ts";
import type { HttpDeps } from "./deps.ts";
import type { Tracing } from "./http-tracing.ts";
import { backchannelAuthentication } from "./oauth/endpoint/backchannel-authentication.ts";
import { introspection } from "./oauth/endpoint/introspection.ts";
import { revocation } from "./oauth/endpoint/revocation.ts";
import { spendToken } from "./oauth/endpoint/spend.ts";
import { token } from "./oauth/endpoint/token.ts";
import { OAuthError } from "./oauth/oauth-error.ts";
import type { TlsPeer } from "./transport/peer.ts";
import type { Machine, ProtocolRequest } from "./transport/protocol-request.ts";
import { type Answer, answerJson } from "./transport/response.ts";

export type Endpoint = (deps: HttpDeps, call: ProtocolRequest, peer: TlsPeer) => Promise<Answer>;
export type ProtocolHandlers = ReadonlyMap<string, Machine>;

const endpoints: Readonly<Record<string, Endpoint>> = {
  "/bc-authorize": backchannelAuthentication,
  "/oauth/token": token,
  "/spend": spendToken,
  "/introspect": introspection,
  "/revoke": revocation,
};

export function createProtocolHandlers(deps: HttpDeps, tracing: Tracing | undefined): ProtocolHandlers {
  return new Map(
    Object.entries(endpoints).map(([path, endpoint]) => [
      path,
      wrapProtocolHandlers(deps, path, tracing)(endpoint),
    ]),
  );
}

/** Makes machines of endpoints. `route`: what metrics, traces and faults call them. */
export function wrapProtocolHandlers(
  deps: HttpDeps,
  route: string,
  tracing: Tracing | undefined,
): (endpoint: Endpoint) => Machine {
  const { onResponse: answered } = deps;
  const strict = sendsHsts(deps);
  const plain =
    (endpoint: Endpoint): Machine =>
    async (call, peer) => {
      const startedAt = answered && performance.now();
      let answer: Answer;
      try {
        answer = await endpoint(deps, call, peer);
      } catch (error) {
        answer = toErrorResponse(deps, error, `POST ${route}`);
      }
      if (startedAt !== undefined) answered!(route, answer.status, (performance.now() - startedAt) / 1000);
      return strict ? { ...answer, headers: { ...answer.headers, ...hstsHeaders } } : answer;
    };
  return tracing ? (endpoint) => tracing.tracedCall(route, plain(endpoint)) : plain;
}

/** A refusal on the wire; or a fault, reported whole, of which the caller learns only that it may try again. */
export function toErrorResponse(deps: HttpDeps, error: unknown, where: string): Answer {
  if (error instanceof OAuthError) return error.toAnswer();
  deps.onFault(error, where);
  return answerJson(
    {
      error: "temporarily_unavailable",
      error_description:
        "the server could not do this now; nothing was changed by it unless you see so later",
    },
    { status: 503, headers: { "retry-after": "2" } },
  );
}

/** Where the server ends TLS itself, nobody in front can say so (RFC 6797). On this machine it would bind every port. */
export function sendsHsts({ config }: HttpDeps): boolean {
  return config.listen.tls !== undefined && !isLoopback(new URL(config.issuer).hostname);
}
export const hstsHeaders = { "strict-transport-security": "max-age=31536000" } as const;
