/**
 * For servers whose handlers are functions from `Request` to `Response`: Bun, Deno, Next.js route handlers, service
 * workers. Reserves the token before the handler runs and reports the result before the response is returned. It never
 * calls the handler for a call that was not approved.
 */
import type { Action, ClientCertificate, DerivedActions, Spent, Verifier } from "./verifier.ts";

export type FetchOptions<Rest extends readonly unknown[]> = {
  /** Returns the caller's certificate, for tokens bound to one. A `Request` does not contain it; the server has it. */
  readonly clientCertificate?: (request: Request, ...rest: Rest) => ClientCertificate | undefined;
};

/**
 * Wraps a handler. A response below 400 completes the spend; any other, or an error, fails it.
 *
 * @param verifier - The verifier of this API.
 * @param action - Builds the action from the parameters that the handler uses. Receives a clone of the request, so that
 * the handler can read the body again, and the server's other arguments.
 * @param handler - Receives the request, the token's claims, and the server's other arguments (`params` in Next.js,
 * `server` in Bun, `info` in Deno).
 * @param options - `clientCertificate` returns the caller's certificate.
 * @returns The wrapped handler.
 * @throws {CountersignError} The wrapped handler rejects with the errors of `verifier.reserve` (`ERR_AUTHENTICATION`,
 * `ERR_RESPONSE`, `ERR_GRANT_MISMATCH`), of `action` and of `handler`.
 * @example
 * export const POST = countersigned(verifier, async (request) => {
 *   const { order, amount } = await request.json();
 *   return { type: "refund", order, amount };
 * }, async (_request, { action }) => Response.json({ refunded: action.order }));
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
      // The caller has disconnected and cannot receive the result.
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
