/**
 * What machines post to, all day: found by its exact path, read from whatever brought it, and answered without a router or
 * middleware, which would cost as much as all that a poll does. Any other spelling of a path goes through the routes.
 */
import { isLoopback } from "../config/address.ts";
import { type Answer, answerJson } from "./answer.ts";
import type { Call, Machine } from "./call.ts";
import { backchannelAuthentication } from "./endpoints/backchannel-authentication.ts";
import { introspection } from "./endpoints/introspection.ts";
import { revocation } from "./endpoints/revocation.ts";
import { spendToken } from "./endpoints/spend.ts";
import { token } from "./endpoints/token.ts";
import type { HttpGround } from "./ground.ts";
import { OAuthError } from "./oauth-error.ts";
import type { Peer } from "./peer.ts";
import type { Tracing } from "./trace.ts";

export type Endpoint = (ground: HttpGround, call: Call, peer: Peer) => Promise<Answer>;
export type Machines = ReadonlyMap<string, Machine>;

const endpoints: Readonly<Record<string, Endpoint>> = {
  "/bc-authorize": backchannelAuthentication,
  "/oauth/token": token,
  "/spend": spendToken,
  "/introspect": introspection,
  "/revoke": revocation,
};

export function openMachines(ground: HttpGround, tracing: Tracing | undefined): Machines {
  return new Map(
    Object.entries(endpoints).map(([path, endpoint]) => [path, machinesOf(ground, path, tracing)(endpoint)]),
  );
}

/** Makes machines of endpoints. `route`: what metrics, traces and faults call them. */
export function machinesOf(
  ground: HttpGround,
  route: string,
  tracing: Tracing | undefined,
): (endpoint: Endpoint) => Machine {
  const { answered } = ground;
  const strict = isStrict(ground);
  const plain =
    (endpoint: Endpoint): Machine =>
    async (call, peer) => {
      const startedAt = answered && performance.now();
      let answer: Answer;
      try {
        answer = await endpoint(ground, call, peer);
      } catch (error) {
        answer = failed(ground, error, `POST ${route}`);
      }
      if (startedAt !== undefined) answered!(route, answer.status, (performance.now() - startedAt) / 1000);
      return strict ? { ...answer, headers: { ...answer.headers, ...strictly } } : answer;
    };
  return tracing ? (endpoint) => tracing.tracedCall(route, plain(endpoint)) : plain;
}

/** A refusal on the wire; or a fault, reported whole, of which the caller learns only that it may try again. */
export function failed(ground: HttpGround, error: unknown, where: string): Answer {
  if (error instanceof OAuthError) return error.toAnswer();
  ground.onFault(error, where);
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
export function isStrict({ config }: HttpGround): boolean {
  return config.listen.tls !== undefined && !isLoopback(new URL(config.issuer).hostname);
}
export const strictly = { "strict-transport-security": "max-age=31536000" } as const;
