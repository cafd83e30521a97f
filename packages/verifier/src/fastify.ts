/**
 * A hook for Fastify 5: the token is spent before the handler runs, and how the handler ended is reported once the
 * response is out. It never lets a call through to the handler that was not approved as it stands.
 */
import type { FastifyRequest, preHandlerAsyncHookHandler } from "fastify";
import { callOf, finishSpend, type MiddlewareOptions, watch } from "./node-http.ts";
import type { Action, Spent, Verifier } from "./verifier.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Set where `countersigned` is a `preHandler` of the route. */
    countersign: Spent;
  }
}

/**
 * For a route's `preHandler`, when the body is parsed. `action` builds, from the real parameters, the action that this call
 * is. A response below 400 completes the spend; any other fails it. Where the connection closes before the response is out,
 * nobody knows how far the handler came: nothing is reported, and the spend becomes unknown.
 */
export function countersigned<R extends FastifyRequest = FastifyRequest>(
  verifier: Pick<Verifier, "reserve">,
  action: (request: R) => Action | Promise<Action>,
  { clientCertificate }: MiddlewareOptions<R> = {},
): preHandlerAsyncHookHandler {
  return async (request, reply) => {
    const gone = watch(reply.raw);
    const url = `${request.protocol}://${request.host}${request.originalUrl}`;
    const call = callOf(request.raw, url, clientCertificate && (() => clientCertificate(request as R)));
    const reservation = await verifier.reserve(call, () => action(request as R));
    if (reservation.outcome === "rejected")
      return reply.code(reservation.status).headers(reservation.headers).send(reservation.body);
    if (gone()) {
      await reservation.fail();
      return reply.hijack();
    }
    finishSpend(reply.raw, reservation);
    request.countersign = reservation.spent;
  };
}
