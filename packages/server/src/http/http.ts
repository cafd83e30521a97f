/**
 * How the world reaches the server: the route table. A handler reads, parses, calls one operation, looks its refusal
 * up in a table and renders; names in wire spelling stop there. Every URL that leaves is made from the configured
 * issuer, never from the request, and no protocol endpoint redirects or answers in anything but JSON.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import type { HttpDeps } from "./deps.ts";
import type { Tracing } from "./http-tracing.ts";
import { getActionType, listActionTypes } from "./oauth/endpoint/action-type.ts";
import { metadata } from "./oauth/endpoint/discovery.ts";
import {
  newRegistration,
  noRegistration,
  ownRegistration,
  registration,
} from "./oauth/endpoint/registration.ts";
import { decisionRoute, findDecision, pageRoutes } from "./page/page-route.ts";
import {
  createProtocolHandlers,
  hstsHeaders,
  type ProtocolHandlers,
  sendsHsts,
  toErrorResponse,
  wrapProtocolHandlers,
} from "./protocol-routes.ts";
import type { TlsPeer } from "./transport/peer.ts";
import { fromFetchRequest, type Machine, type ProtocolRequest } from "./transport/protocol-request.ts";
import { type Answer, responseOf, securityHeaders } from "./transport/response.ts";

type Fetch = (request: Request, peer: TlsPeer) => Response | Promise<Response>;
export type App = {
  readonly fetch: Fetch;
  /** What is posted to a path, for whoever listens and has no need of a `Request`. `fetch` answers the same. */
  readonly machineAt: (path: string) => Machine | undefined;
};
type Routes = Hono<{ Bindings: TlsPeer }>;

/** Everything: what agents and APIs call, and the pages. */
export function httpApp(deps: HttpDeps, tracing?: Tracing): App {
  const machines = createProtocolHandlers(deps, tracing);
  const routes = protocolRoutes(deps, machines);
  routes.route("/", pageRoutes(deps));
  const decisions = wrapProtocolHandlers(deps, decisionRoute, tracing);
  const decisionMachine = (path: string) => {
    const decision = findDecision(path);
    return decision && decisions(decision);
  };
  return direct((path) => machines.get(path) ?? decisionMachine(path), routes, tracing);
}

/** What agents and APIs call, and nothing that a person would open. */
export function protocolApp(deps: HttpDeps, tracing?: Tracing): App {
  const machines = createProtocolHandlers(deps, tracing);
  return direct((path) => machines.get(path), protocolRoutes(deps, machines), tracing);
}

function direct(machineAt: App["machineAt"], routes: Routes, tracing: Tracing | undefined): App {
  const routed: Fetch = (request, peer) => routes.fetch(request, peer);
  const others = tracing?.traced(routed) ?? routed;
  const answer = async (machine: Machine, request: Request, peer: TlsPeer) =>
    responseOf(await machine(fromFetchRequest(request), peer));
  return {
    machineAt,
    fetch: (request, peer) => {
      const { method, url } = request;
      const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
      const machine = method === "POST" ? machineAt(path) : undefined;
      return machine ? answer(machine, request, peer) : others(request, peer);
    },
  };
}

function protocolRoutes(deps: HttpDeps, machines: ProtocolHandlers): Routes {
  const app: Routes = new Hono();
  const document = metadata(deps.config);

  const { onResponse: answered } = deps;
  const strict = sendsHsts(deps);
  app.use(async (context, next) => {
    const startedAt = answered && performance.now();
    await next();
    if (startedAt !== undefined)
      answered!(routeOf(context), context.res.status, (performance.now() - startedAt) / 1000);
    for (const [name, value] of Object.entries(securityHeaders)) context.res.headers.set(name, value);
    if (strict) for (const [name, value] of Object.entries(hstsHeaders)) context.res.headers.set(name, value);
  });
  app.onError((error, context) =>
    responseOf(toErrorResponse(deps, error, `${context.req.method} ${routePath(context)}`)),
  );
  app.notFound(() => Response.json({ error: "not_found" }, { status: 404 }));

  // That the process turns, and that it can do its work: for whoever starts it again, and whoever sends it requests.
  app.get("/livez", () => text("ok\n"));
  app.get("/readyz", async () =>
    (await deps.ready())
      ? text("ok\n")
      : new Response("not ready\n", { status: 503, headers: { "retry-after": "2" } }),
  );
  app.get("/.well-known/openid-configuration", () => published(document));
  app.get("/.well-known/oauth-authorization-server", () => published(document));
  app.get("/jwks", () => published(deps.keyring.jwks()));
  for (const [path, machine] of machines)
    app.post(path, async (context) =>
      responseOf(await machine(fromFetchRequest(context.req.raw), context.env)),
    );
  if (deps.config.registration.enabled) {
    type Registering = (call: ProtocolRequest, id: string) => Promise<Answer>;
    const registering = (handle: Registering) => async (context: Context) =>
      responseOf(await handle(fromFetchRequest(context.req.raw), context.req.param("id") ?? ""));
    app.post(
      "/register",
      registering((call) => registration(deps, call)),
    );
    app.get(
      "/register/:id",
      registering((call, id) => ownRegistration(deps, call, id)),
    );
    app.put(
      "/register/:id",
      registering((call, id) => newRegistration(deps, call, id)),
    );
    app.delete(
      "/register/:id",
      registering((call, id) => noRegistration(deps, call, id)),
    );
  }
  app.get("/action-types", () => listActionTypes(deps));
  app.get("/action-types/:hash", (context) => getActionType(deps, context.req.param("hash")));
  app.get("/log/checkpoint", async () => text((await deps.store.log.newestCheckpoint())?.note ?? ""));
  app.get("/log/key", () => text(`${deps.keyring.logKey}\n`));
  return app;
}

/** The route and not the path, which may hold a secret. */
function routeOf(context: Context): string {
  const route = routePath(context);
  return route === "/*" || route === "*" ? "none" : route;
}

function published(document: unknown): Response {
  return Response.json(document, { headers: { "cache-control": "max-age=300" } });
}

function text(body: string): Response {
  return new Response(body, {
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" },
  });
}
