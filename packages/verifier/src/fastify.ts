/**
 * A hook for Fastify 5. Reserves the token before the handler runs and reports the result when the response was sent. It
 * never passes a call to the handler that was not approved.
 */
import type { FastifyRequest, preHandlerAsyncHookHandler } from "fastify";
import { callOf, finishSpend, type MiddlewareOptions, watch } from "./node-http.ts";
import type { Action, Spent, Verifier } from "./verifier.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Set if `countersigned` is a `preHandler` of the route. */
    countersign: Spent;
  }
}

/**
 * Creates the `preHandler` hook of one route. A response below 400 completes the spend; any other fails it. If the
 * connection closes before the response was sent, nothing is reported, and the spend becomes unknown.
 *
 * @param verifier - The verifier of this API.
 * @param action - Builds the action from the parameters that the handler uses.
 * @param options - `clientCertificate` returns the caller's certificate if a proxy terminates TLS.
 * @returns The hook. A rejected call gets its response here; the handler is not called.
 * @throws {CountersignError} The hook rejects with the errors of `verifier.reserve` (`ERR_AUTHENTICATION`, `ERR_RESPONSE`,
 * `ERR_GRANT_MISMATCH`) and of `action`.
 * @example
 * app.post("/refunds", { preHandler: countersigned(verifier, ({ body }: FastifyRequest<Refund>) => {
 *   return { type: "refund", order: body.order, amount: body.amount };
 * }) }, handler);
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
