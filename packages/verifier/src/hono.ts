/**
 * Middleware for Hono: the token is spent before the handler runs, and how the handler ended is reported afterwards.
 * It never calls the handler for a call that was not approved as it stands.
 */
import type { Context, Env, MiddlewareHandler } from "hono";
import { certificateOf, type MiddlewareOptions } from "./node-http.ts";
import type { Action, DerivedActions, Spent, Verifier } from "./verifier.ts";

/** What handlers behind the middleware find in `c.get("countersign")`. */
export type CountersignVariables<S extends DerivedActions = Action> = { readonly countersign: Spent<S> };

/**
 * `action` builds, from the real parameters, the action that this call is: `await c.req.json()` there is the same body
 * that the handler reads later. If it reads path parameters, name the path: `countersigned<"/orders/:order">(…)`. An
 * answer below 400 completes the spend; any other, or a throw, fails it.
 */
export function countersigned<
  P extends string = string,
  // biome-ignore lint/suspicious/noExplicitAny: as Hono's own Context has it, so that c.env and c.get are usable
  E extends Env = any,
  S extends DerivedActions = Action,
>(
  verifier: Pick<Verifier, "reserve">,
  action: (c: Context<E, P>) => S | Promise<S>,
  { clientCertificate }: MiddlewareOptions<Context<E, P>> = {},
): MiddlewareHandler<{ Variables: CountersignVariables<S> }, P> {
  return async (c, next) => {
    const context = c as unknown as Context<E, P>;
    const call = {
      headers: c.req.raw.headers,
      method: c.req.method,
      url: c.req.url,
      clientCertificate: () => (clientCertificate ? clientCertificate(context) : certificateOfContext(c.env)),
    };
    const reservation = await verifier.reserve(call, () => action(context));
    if (reservation.outcome === "rejected")
      return c.json(reservation.body, reservation.status, reservation.headers);
    if (c.req.raw.signal.aborted) {
      // The caller is gone and would never learn what happened.
      await reservation.fail();
      return c.body(null, 408);
    }
    c.set("countersign", reservation.spent);
    try {
      await next();
    } catch (error) {
      await reservation.fail();
      throw error;
    }
    await (c.error || c.res.status >= 400 ? reservation.fail() : reservation.complete());
  };
}

/** On Node, `@hono/node-server` hands on the request as Node has it. */
function certificateOfContext(env: unknown): Uint8Array | undefined {
  const { incoming } = (env ?? {}) as { incoming?: { socket?: object } };
  return incoming?.socket && certificateOf(incoming.socket);
}
