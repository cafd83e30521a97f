/**
 * How the world reaches the server: the route table. A handler reads, parses, calls one operation, looks its refusal
 * up in a table and renders; names in wire spelling stop there. Every URL that leaves is made from the configured
 * issuer, never from the request, and no protocol endpoint redirects or answers in anything but JSON.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { isLoopback } from "../config/address.ts";
import { answerJson, everyAnswer } from "./answer.ts";
import { currentTypes, publishedType } from "./endpoints/action-type.ts";
import { backchannelAuthentication } from "./endpoints/backchannel-authentication.ts";
import { metadata } from "./endpoints/discovery.ts";
import { introspection } from "./endpoints/introspection.ts";
import { newRegistration, noRegistration, ownRegistration, registration } from "./endpoints/registration.ts";
import { revocation } from "./endpoints/revocation.ts";
import { spendToken } from "./endpoints/spend.ts";
import { token } from "./endpoints/token.ts";
import type { HttpGround } from "./ground.ts";
import { OAuthError } from "./oauth-error.ts";
import { pageRoutes } from "./page-route.ts";
import type { Peer } from "./peer.ts";

type Handler = (request: Request, peer: Peer) => Promise<Response>;
export type App = { readonly fetch: (request: Request, peer: Peer) => Response | Promise<Response> };
type Routes = Hono<{ Bindings: Peer }>;

/** Everything: what agents and APIs call, and the pages. */
export function httpApp(ground: HttpGround): App {
  const machines = posts(ground);
  const routes = protocolRoutes(ground, machines);
  routes.route("/", pageRoutes(ground));
  return direct(ground, machines, routes);
}

/** What agents and APIs call, and nothing that a person would open. */
export function protocolApp(ground: HttpGround): App {
  const machines = posts(ground);
  return direct(ground, machines, protocolRoutes(ground, machines));
}

/** What machines post to, all day. */
function posts(ground: HttpGround): ReadonlyMap<string, Handler> {
  return new Map<string, Handler>([
    ["/bc-authorize", (request, peer) => backchannelAuthentication(ground, request, peer)],
    ["/oauth/token", (request, peer) => token(ground, request, peer)],
    ["/spend", (request) => spendToken(ground, request)],
    ["/introspect", (request) => introspection(ground, request)],
    ["/revoke", (request, peer) => revocation(ground, request, peer)],
  ]);
}

/**
 * Takes what is posted to one of these paths, spelled as it is published, straight to its handler: the router and its
 * middleware cost as much as all that a poll does. Any other spelling, and everything else, goes through the routes.
 */
function direct(ground: HttpGround, machines: ReadonlyMap<string, Handler>, routes: Routes): App {
  const { answered } = ground;
  const strict = isStrict(ground);
  async function answer(path: string, handle: Handler, request: Request, peer: Peer): Promise<Response> {
    const startedAt = answered && performance.now();
    const response = await handle(request, peer).catch((error) => failed(ground, error, `POST ${path}`));
    if (startedAt !== undefined) answered!(path, response.status, (performance.now() - startedAt) / 1000);
    if (strict) response.headers.set(...strictly);
    return response;
  }
  return {
    fetch: (request, peer) => {
      const { method, url } = request;
      const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
      const handle = method === "POST" ? machines.get(path) : undefined;
      return handle ? answer(path, handle, request, peer) : routes.fetch(request, peer);
    },
  };
}

/** Where the server ends TLS itself, nobody in front can say so (RFC 6797). On this machine it would bind every port. */
function isStrict({ config }: HttpGround): boolean {
  return config.listen.tls !== undefined && !isLoopback(new URL(config.issuer).hostname);
}
const strictly = ["strict-transport-security", "max-age=31536000"] as const;

function failed(ground: HttpGround, error: unknown, where: string): Response {
  if (error instanceof OAuthError) return error.toResponse();
  ground.onFault(error, where);
  return answerJson(
    {
      error: "temporarily_unavailable",
      error_description:
        "the server could not do this now; nothing was changed by it unless you see so later",
    },
    { status: 503, headers: { "retry-after": "2" } },
  );
}

function protocolRoutes(ground: HttpGround, machines: ReadonlyMap<string, Handler>): Routes {
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
    if (strict) context.res.headers.set(...strictly);
  });
  app.onError((error, context) => failed(ground, error, `${context.req.method} ${routePath(context)}`));
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
  for (const [path, handle] of machines) app.post(path, (context) => handle(context.req.raw, context.env));
  if (ground.config.registration.enabled) {
    app.post("/register", (context) => registration(ground, context.req.raw));
    app.get("/register/:id", (context) => ownRegistration(ground, context.req.raw, context.req.param("id")));
    app.put("/register/:id", (context) => newRegistration(ground, context.req.raw, context.req.param("id")));
    app.delete("/register/:id", (context) =>
      noRegistration(ground, context.req.raw, context.req.param("id")),
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
