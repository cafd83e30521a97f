/**
 * For servers whose handlers are functions from `Request` to `Response`: Bun, Deno, Next.js route handlers, service
 * workers. The token is spent before the handler runs, and how the handler ended is reported before its answer leaves.
 * It never calls the handler for a call that was not approved as it stands.
 */
import type { Action, ClientCertificate, DerivedActions, Spent, Verifier } from "./verifier.ts";

export type FetchOptions<Rest extends readonly unknown[]> = {
  /** The caller's certificate, for tokens that are bound to one: a `Request` does not know it, whoever listens does. */
  readonly clientCertificate?: (request: Request, ...rest: Rest) => ClientCertificate | undefined;
};

/**
 * Wraps a handler. `action` builds, from the real parameters, the action that this call is: it is given a copy of the
 * request, so that the handler can read the same body after it. The handler is given what was approved beside the request;
 * whatever else the server hands in (`params` in Next.js, `server` in Bun, `info` in Deno) comes after. An answer below 400
 * completes the spend; any other, or a throw, fails it.
 */
export function countersigned<
  R extends Request = Request,
  Rest extends readonly unknown[] = [],
  S extends DerivedActions = Action,
>(
  verifier: Pick<Verifier, "reserve">,
  action: (request: Request, ...rest: Rest) => S | Promise<S>,
  handler: (request: R, spent: Spent<S>, ...rest: Rest) => Response | Promise<Response>,
  { clientCertificate }: FetchOptions<Rest> = {},
): (request: R, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    const { headers, method, url } = request;
    const certificate = clientCertificate && { clientCertificate: () => clientCertificate(request, ...rest) };
    const call = { headers, method, url, ...certificate };
    const reservation = await verifier.reserve(call, () => action(request.clone(), ...rest));
    if (reservation.outcome === "rejected") {
      const { status, body } = reservation;
      return Response.json(body, { status, headers: reservation.headers });
    }
    if (request.signal.aborted) {
      // The caller is gone and would never learn what happened.
      await reservation.fail();
      return new Response(null, { status: 408 });
    }
    let response: Response;
    try {
      response = await handler(request, reservation.spent, ...rest);
    } catch (error) {
      await reservation.fail();
      throw error;
    }
    await (response.status >= 400 ? reservation.fail() : reservation.complete());
    return response;
  };
}
