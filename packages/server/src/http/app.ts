/**
 * Serves the route table. POSTs of the protocol and decisions take a fast path: an exact path lookup, without a router and
 * without a fetch `Request`. Everything else goes through Hono. URLs in responses are built from the configured issuer,
 * never from the request; protocol endpoints return JSON and never redirect.
 */
import { Hono } from "hono";
import type { WebhookRoute } from "../channel/channel.ts";
import type { Tracing } from "./http-tracing.ts";
import { OAuthError } from "./oauth/oauth-error.ts";
import type { PageRenderer, ServePage } from "./page/page-renderer.ts";
import { isPageRoute, type Route } from "./route.ts";
import { maxBodyBytes } from "./transport/body.ts";
import type { TlsPeer } from "./transport/peer.ts";
import {
  fromFetchRequest,
  type ProtocolHandler,
  type ProtocolRequest,
} from "./transport/protocol-request.ts";
import {
  createJsonResponse,
  type ProtocolResponse,
  securityHeaders,
  toResponse,
} from "./transport/response.ts";

type Fetch = (fetchRequest: Request, peer: TlsPeer) => Response | Promise<Response>;

export type App = {
  readonly fetch: Fetch;
  /** Returns the handler of a POST to this path if it is on the fast path. `fetch` gives the same responses. */
  readonly findHandler: (path: string) => ProtocolHandler | undefined;
};

export type AppDeps = {
  readonly pages: PageRenderer;
  /** Send HSTS: this server terminates TLS (RFC 6797). Not on localhost, where HSTS would apply to every port. */
  readonly hsts: boolean;
  /** Called after every response with route, status and seconds (metrics, access log). */
  readonly onResponse?: ((route: string, status: number, seconds: number) => void) | undefined;
  /** Called with every unexpected error and where it happened. */
  readonly onFault: (fault: unknown, where: string) => void;
  readonly tracing?: Tracing | undefined;
};

type ServeResult = ProtocolResponse | Response;
type Serve = (
  request: ProtocolRequest,
  peer: TlsPeer,
  parameter: string,
  fetchRequest: Request | undefined,
) => ServeResult | Promise<ServeResult>;

export const hstsHeaders = { "strict-transport-security": "max-age=31536000" } as const;

/** Returns the application that serves `routes`. */
export function createApp(routes: readonly Route[], deps: AppDeps): App {
  const router = new Hono<{ Bindings: TlsPeer }>();
  const exact = new Map<string, ProtocolHandler>();
  const patterns: { readonly path: RegExp; readonly handle: (parameter: string) => ProtocolHandler }[] = [];
  for (const route of routes) {
    const serve = wrap(route, deps);
    router.on(route.method, route.path, async (context) => {
      const { raw } = context.req;
      const parameter = Object.values(context.req.param() as Record<string, string>)[0] ?? "";
      return toFetchResponse(await serve(fromFetchRequest(raw), context.env, parameter, raw));
    });
    if (!isFast(route)) continue;
    const handle =
      (parameter: string): ProtocolHandler =>
      (request, peer) =>
        serve(request, peer, parameter, undefined) as Promise<ProtocolResponse>;
    if (!route.path.includes(":")) exact.set(route.path, handle(""));
    else patterns.push({ path: new RegExp(`^${route.path.replace(/:\w+/, "([a-z0-9_]{1,64})")}$`), handle });
  }
  const notFound = () => createJsonResponse({ error: "not_found" }, { status: 404 });
  const serveNotFound = wrapServe("none", "", notFound, deps);
  router.notFound(async (context) =>
    toFetchResponse(await serveNotFound(fromFetchRequest(context.req.raw), context.env, "", context.req.raw)),
  );

  const findHandler = (path: string): ProtocolHandler | undefined => {
    const found = exact.get(path);
    if (found) return found;
    for (const pattern of patterns) {
      const parameter = pattern.path.exec(path)?.[1];
      if (parameter !== undefined) return pattern.handle(parameter);
    }
    return undefined;
  };
  return {
    findHandler,
    fetch: (fetchRequest, peer) => {
      const { method, url } = fetchRequest;
      const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
      const handler = method === "POST" ? findHandler(path) : undefined;
      if (!handler) return router.fetch(fetchRequest, peer);
      return handler(fromFetchRequest(fetchRequest), peer).then(toResponse);
    },
  };
}

/** The protocol alone, without pages and webhooks: for a listener that asks clients for a certificate. */
export function createProtocolApp(routes: readonly Route[], deps: AppDeps): App {
  return createApp(
    routes.filter((route) => !isPageRoute(route) && route.access !== "webhook"),
    deps,
  );
}

/** Agents, APIs and decisions are most of the traffic. */
function isFast(route: Route): boolean {
  return route.method === "POST" && ("endpoint" in route || "sessionForm" in route);
}

/** Builds the function that serves one route: access guard, handler, error response, headers, metrics, trace. */
function wrap(route: Route, deps: AppDeps): Serve {
  const { pages } = deps;
  if ("document" in route)
    return wrapServe(route.path, route.method, (_, __, id) => route.document(id), deps);
  if ("webhook" in route) return wrapServe(route.path, route.method, serveWebhook(route.webhook), deps);
  if ("endpoint" in route) return wrapServe(route.path, route.method, route.endpoint, deps);
  return wrapServe(route.path, route.method, servePage(guard(route, pages)), deps, pages.fault);
}

function guard(route: Route, pages: PageRenderer): ServePage {
  if ("page" in route) return pages.page(route.page);
  if ("form" in route) return pages.form(route.form);
  if ("sessionPage" in route) return pages.sessionPage(route.sessionPage);
  if ("sessionForm" in route) return pages.sessionForm(route.sessionForm, route.showAgain);
  throw new Error(`${route.path} is not a page`);
}

/** Passes the raw body on. Browsers never call these routes, so there is neither session nor CSRF check. */
function serveWebhook(webhook: WebhookRoute["webhook"]): Serve {
  return async ({ header, body }) => {
    const { status, json } = await webhook({ header, body: await body(maxBodyBytes) });
    return createJsonResponse(json, { status });
  };
}

function servePage(serve: ServePage): Serve {
  return (request, _, parameter, fetchRequest) => serve(request, parameter, fetchRequest);
}

function wrapServe(
  path: string,
  method: string,
  serve: Serve,
  { hsts, onResponse, onFault, tracing }: AppDeps,
  faultPage?: () => ProtocolResponse,
): Serve {
  const run: Serve = async (request, peer, parameter, fetchRequest) => {
    const startedAt = onResponse && performance.now();
    let result: ServeResult;
    try {
      result = await serve(request, peer, parameter, fetchRequest);
    } catch (error) {
      if (error instanceof OAuthError && !faultPage) result = error.toProtocolResponse();
      else {
        onFault(error, `${method} ${path}`);
        result = faultPage?.() ?? createUnavailableResponse();
      }
    }
    if (startedAt !== undefined) onResponse!(path, result.status, (performance.now() - startedAt) / 1000);
    return hsts ? withHeaders(result, hstsHeaders) : result;
  };
  return tracing?.traceServe(path, run) ?? run;
}

/** An unexpected error: the caller learns only that it may retry. */
function createUnavailableResponse(): ProtocolResponse {
  return createJsonResponse(
    {
      error: "temporarily_unavailable",
      error_description:
        "temporarily unavailable; the outcome is unknown. Retry with the same Idempotency-Key.",
    },
    { status: 503, headers: { "retry-after": "2" } },
  );
}

function withHeaders(result: ServeResult, headers: Readonly<Record<string, string>>): ServeResult {
  if (!(result instanceof Response)) return { ...result, headers: { ...result.headers, ...headers } };
  for (const [name, value] of Object.entries(headers)) result.headers.set(name, value);
  return result;
}

function toFetchResponse(result: ServeResult): Response {
  return result instanceof Response ? (withHeaders(result, securityHeaders) as Response) : toResponse(result);
}
