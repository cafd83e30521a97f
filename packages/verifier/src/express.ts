/**
 * Middleware for Express 5: the token is spent before the handler runs, and how the handler ended is reported once the
 * response is out. It never calls the handler for a call that was not approved as it stands.
 */
import type { Request, RequestHandler } from "express";
import { callOf, finishSpend, type MiddlewareOptions, watch } from "./node-http.ts";
import type { Action, DerivedActions, Spent, Verifier } from "./verifier.ts";

/** What handlers behind the middleware find in `res.locals.countersign`. */
export type CountersignLocals<S extends DerivedActions = Action> = { countersign: Spent<S> };

/**
 * `action` builds, from the real parameters, the action that this call is; `express.json()` comes before, so that
 * `req.body` is the body that the handler reads later. A response below 400 completes the spend; any other fails it. Where
 * the connection closes before the response is out, nobody knows how far the handler came: nothing is reported, and the
 * spend becomes unknown.
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
