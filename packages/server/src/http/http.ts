/**
 * How the world reaches the server: the route table. A handler reads, parses, calls one operation, looks its refusal
 * up in a table and renders; names in wire spelling stop there. Every URL that leaves is made from the configured
 * issuer, never from the request, and no protocol endpoint redirects or answers in anything but JSON.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { type Answer, everyAnswer, responseOf } from "./answer.ts";
import { type Call, callOf, type Machine } from "./call.ts";
import { currentTypes, publishedType } from "./endpoints/action-type.ts";
import { metadata } from "./endpoints/discovery.ts";
import { newRegistration, noRegistration, ownRegistration, registration } from "./endpoints/registration.ts";
import type { HttpGround } from "./ground.ts";
import { failed, isStrict, type Machines, machinesOf, openMachines, strictly } from "./machine.ts";
import { decisionAt, decisionRoute, pageRoutes } from "./page-route.ts";
import type { Peer } from "./peer.ts";
import type { Tracing } from "./trace.ts";

type Fetch = (request: Request, peer: Peer) => Response | Promise<Response>;
export type App = {
  readonly fetch: Fetch;
  /** What is posted to a path, for whoever listens and has no need of a `Request`. `fetch` answers the same. */
  readonly machineAt: (path: string) => Machine | undefined;
};
type Routes = Hono<{ Bindings: Peer }>;

/** Everything: what agents and APIs call, and the pages. */
export function httpApp(ground: HttpGround, tracing?: Tracing): App {
  const machines = openMachines(ground, tracing);
  const routes = protocolRoutes(ground, machines);
  routes.route("/", pageRoutes(ground));
  const decisions = machinesOf(ground, decisionRoute, tracing);
  const decisionMachine = (path: string) => {
    const decision = decisionAt(path);
    return decision && decisions(decision);
  };
  return direct((path) => machines.get(path) ?? decisionMachine(path), routes, tracing);
}

/** What agents and APIs call, and nothing that a person would open. */
export function protocolApp(ground: HttpGround, tracing?: Tracing): App {
  const machines = openMachines(ground, tracing);
  return direct((path) => machines.get(path), protocolRoutes(ground, machines), tracing);
}

function direct(machineAt: App["machineAt"], routes: Routes, tracing: Tracing | undefined): App {
  const routed: Fetch = (request, peer) => routes.fetch(request, peer);
  const others = tracing?.traced(routed) ?? routed;
  const answer = async (machine: Machine, request: Request, peer: Peer) =>
    responseOf(await machine(callOf(request), peer));
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

function protocolRoutes(ground: HttpGround, machines: Machines): Routes {
  const app: Routes = new Hono();
  const document = metadata(ground.config);

  const { answered } = ground;
  const strict = isStrict(ground);
  app.use(async (context, next) => {
    const startedAt = answered && performance.now();
    await next();
    if (startedAt !== undefined)
      answered!(routeOf(context), context.res.status, (performance.now() - startedAt) / 1000);
    for (const [name, value] of Object.entries(everyAnswer)) context.res.headers.set(name, value);
    if (strict) for (const [name, value] of Object.entries(strictly)) context.res.headers.set(name, value);
  });
  app.onError((error, context) =>
    responseOf(failed(ground, error, `${context.req.method} ${routePath(context)}`)),
  );
  app.notFound(() => Response.json({ error: "not_found" }, { status: 404 }));

  // That the process turns, and that it can do its work: for whoever starts it again, and whoever sends it requests.
  app.get("/livez", () => text("ok\n"));
  app.get("/readyz", async () =>
    (await ground.ready())
      ? text("ok\n")
      : new Response("not ready\n", { status: 503, headers: { "retry-after": "2" } }),
  );
  app.get("/.well-known/openid-configuration", () => published(document));
  app.get("/.well-known/oauth-authorization-server", () => published(document));
  app.get("/jwks", () => published(ground.keyring.jwks()));
  for (const [path, machine] of machines)
    app.post(path, async (context) => responseOf(await machine(callOf(context.req.raw), context.env)));
  if (ground.config.registration.enabled) {
    type Registering = (call: Call, id: string) => Promise<Answer>;
    const registering = (handle: Registering) => async (context: Context) =>
      responseOf(await handle(callOf(context.req.raw), context.req.param("id") ?? ""));
    app.post(
      "/register",
      registering((call) => registration(ground, call)),
    );
    app.get(
      "/register/:id",
      registering((call, id) => ownRegistration(ground, call, id)),
    );
    app.put(
      "/register/:id",
      registering((call, id) => newRegistration(ground, call, id)),
    );
    app.delete(
      "/register/:id",
      registering((call, id) => noRegistration(ground, call, id)),
    );
  }
  app.get("/action-types", () => currentTypes(ground));
  app.get("/action-types/:hash", (context) => publishedType(ground, context.req.param("hash")));
  app.get("/log/checkpoint", async () => text((await ground.store.log.newestCheckpoint())?.note ?? ""));
  app.get("/log/key", () => text(`${ground.keyring.logKey}\n`));
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
