/**
 * Middleware for Express 5. Reserves the token before the handler runs and reports the result when the response was sent.
 * It never calls the handler for a call that was not approved.
 */
import type { Request, RequestHandler } from "express";
import { callOf, finishSpend, type MiddlewareOptions, watch } from "./node-http.ts";
import type { Action, DerivedActions, Spent, Verifier } from "./verifier.ts";

/** The type of `res.locals` behind the middleware. */
export type CountersignLocals<S extends DerivedActions = Action> = { countersign: Spent<S> };

/**
 * Creates the middleware for one route. A response below 400 completes the spend; any other fails it. If the connection
 * closes before the response was sent, nothing is reported, and the spend becomes unknown.
 *
 * @param verifier - The verifier of this API.
 * @param action - Builds the action from the parameters that the handler uses. Put `express.json()` before it.
 * @param options - `clientCertificate` returns the caller's certificate if a proxy terminates TLS.
 * @returns The middleware. A rejected call gets its response here; the next handler is not called.
 * @throws {CountersignError} The middleware passes the errors of `verifier.reserve` (`ERR_AUTHENTICATION`, `ERR_RESPONSE`,
 * `ERR_GRANT_MISMATCH`) and of `action` to Express.
 * @example
 * app.post("/refunds", express.json(), countersigned(verifier, ({ body }) => {
 *   return { type: "refund", order: body.order, amount: body.amount };
 * }), handler);
 */
export function countersigned<
  P = Request["params"],
  ResBody = unknown,
  ReqBody = Request["body"],
  Query = Request["query"],
  S extends DerivedActions = Action,
>(
  verifier: Pick<Verifier, "reserve">,
  action: (req: Request<P, ResBody, ReqBody, Query>) => S | Promise<S>,
  { clientCertificate }: MiddlewareOptions<Request<P, ResBody, ReqBody, Query>> = {},
): RequestHandler<P, ResBody, ReqBody, Query, CountersignLocals<S>> {
  return async (req, res, next) => {
    const gone = watch(res);
    const url = `${req.protocol}://${req.host}${req.originalUrl}`;
    const call = callOf(req, url, clientCertificate && (() => clientCertificate(req as never)));
    const reservation = await verifier.reserve(call, () => action(req as never));
    if (reservation.outcome === "rejected") {
      res
        .status(reservation.status)
        .set(reservation.headers)
        .json(reservation.body as never);
      return;
    }
    if (gone()) return reservation.fail();
    finishSpend(res, reservation);
    res.locals.countersign = reservation.spent;
    next();
  };
}
