/**
 * How the world reaches the server: the route table. A handler reads, parses, calls one operation, looks its refusal
 * up in a table and renders; names in wire spelling stop there. Every URL that leaves is made from the configured
 * issuer, never from the request, and no protocol endpoint redirects or answers in anything but JSON.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { isLoopback } from "../config/address.ts";
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

type App = Hono<{ Bindings: Peer }>;

/** Everything: what agents and APIs call, and the pages. */
export function httpApp(ground: HttpGround): App {
  const app = protocolApp(ground);
  app.route("/", pageRoutes(ground));
  return app;
}

/** What agents and APIs call, and nothing that a person would open. */
export function protocolApp(ground: HttpGround): App {
  const app: App = new Hono();
  const document = metadata(ground.config);

  const { answered, config } = ground;
  // Where the server ends TLS itself, nobody in front can say so (RFC 6797). On this machine it would bind every port.
  const strict = config.listen.tls !== undefined && !isLoopback(new URL(config.issuer).hostname);
  app.use(async (context, next) => {
    const startedAt = answered && performance.now();
    await next();
    if (startedAt !== undefined)
      answered!(routeOf(context), context.res.status, (performance.now() - startedAt) / 1000);
    context.res.headers.set("x-content-type-options", "nosniff");
    // Under "no-referrer", browsers send "Origin: null" with a form, and no form would be known as ours (Fetch §3.2).
    context.res.headers.set("referrer-policy", "same-origin");
    if (strict) context.res.headers.set("strict-transport-security", "max-age=31536000");
  });
  app.onError((error, context) => {
    if (error instanceof OAuthError) return error.toResponse();
    ground.onFault(error, `${context.req.method} ${routePath(context)}`);
    return Response.json(
      {
        error: "temporarily_unavailable",
        error_description:
          "the server could not do this now; nothing was changed by it unless you see so later",
      },
      { status: 503, headers: { "cache-control": "no-store", "retry-after": "2" } },
    );
  });
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
  app.post("/bc-authorize", (context) => backchannelAuthentication(ground, context.req.raw, context.env));
  app.post("/oauth/token", (context) => token(ground, context.req.raw, context.env));
  app.post("/spend", (context) => spendToken(ground, context.req.raw));
  app.post("/introspect", (context) => introspection(ground, context.req.raw));
  app.post("/revoke", (context) => revocation(ground, context.req.raw, context.env));
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
