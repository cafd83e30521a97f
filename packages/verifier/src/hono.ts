/**
 * Middleware for Hono. Reserves the token before the handler runs and reports the result afterwards. It never calls the
 * handler for a call that was not approved.
 */
import type { Context, Env, MiddlewareHandler } from "hono";
import { certificateOf, type MiddlewareOptions } from "./node-http.ts";
import type { Action, DerivedActions, Spent, Verifier } from "./verifier.ts";

/** The type of `c.get("countersign")` behind the middleware. */
export type CountersignVariables<S extends DerivedActions = Action> = { readonly countersign: Spent<S> };

/**
 * Creates the middleware for one route. A response below 400 completes the spend; any other, or an error, fails it.
 *
 * @param verifier - The verifier of this API.
 * @param action - Builds the action from the parameters that the handler uses; Hono caches `await c.req.json()`. To read
 * path parameters, name the path: `countersigned<"/orders/:order">(…)`.
 * @param options - `clientCertificate` returns the caller's certificate if a proxy terminates TLS.
 * @returns The middleware. A rejected call gets its response here; the handler is not called.
 * @throws {CountersignError} The middleware rejects with the errors of `verifier.reserve` (`ERR_AUTHENTICATION`,
 * `ERR_RESPONSE`, `ERR_GRANT_MISMATCH`) and of `action`.
 * @example
 * app.post("/refunds", countersigned(verifier, async (c) => {
 *   const { order, amount } = await c.req.json();
 *   return { type: "refund", order, amount };
 * }), handler);
 */
export function countersigned<
  P extends string = string,
  // biome-ignore lint/suspicious/noExplicitAny: same default as Hono's Context, so that c.env and c.get are usable
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
      // The caller has disconnected and cannot receive the result.
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

/** On Node, `@hono/node-server` provides the IncomingMessage in `c.env`. */
function certificateOfContext(env: unknown): Uint8Array | undefined {
  const { incoming } = (env ?? {}) as { incoming?: { socket?: object } };
  return incoming?.socket && certificateOf(incoming.socket);
}
